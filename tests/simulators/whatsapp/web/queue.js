// The first script of the page: modules register here until the loader (runtime.js) takes over.
'use strict';

(() => {
  const queue = [];

  self.__d = (id, dependencies, factory) => {
    queue.push({ id, factory, bundle: document.currentScript?.dataset.bundle });
  };
  self.__d.queue = queue;

  // Two kinds of modules exist in the real page, and importNamespace treats them differently.
  self.defineModule = (id, body) =>
    self.__d(id, [], (global, require, module, exports) => {
      Object.defineProperty(exports, '__esModule', { value: true });
      Object.assign(exports, body(require));
    });

  self.defineClassicModule = (id, body) =>
    self.__d(id, [], (global, require, module) => {
      module.exports = body(require);
    });

  self.readSwitches = () => JSON.parse(document.querySelector('meta[name="switches"]').content);
})();
