"""`make soak`: what a month of many clients costs one machine."""
