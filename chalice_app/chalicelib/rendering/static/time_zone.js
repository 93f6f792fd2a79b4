// A new tenant is most often where its operator is: the browser's time zone is suggested.
"use strict";

const zone = document.querySelector("input[name=time_zone]");
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
