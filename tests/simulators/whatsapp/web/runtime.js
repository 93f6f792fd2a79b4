// The loader: drains the queue and defines __d, require, importNamespace, ErrorGuard and __debug.modulesMap.
'use strict';

(() => {
  const switches = self.readSwitches();
  // The real page's scripts keep the main thread busy for seconds. A number of steps, not a time: on a machine that
  // is shared the same work takes longer.
  const WORK_UNIT_STEPS = 250_000;
  let worked = 1;
  for (let step = switches.boot_work * WORK_UNIT_STEPS; step > 0; step -= 1) {
    worked = (Math.imul(worked, 1_664_525) + 1_013_904_223) | 0;
  }
  self.bootWork = worked;

  const modulesMap = {};
  const definitions = {};
  const hidden = new Set(switches.hidden_modules.split(','));
  const loaded = new Map();
  const namespaces = new Map();
  const heldBack = [];
  let holding = switches.late_modules;

  function register(entry) {
    if (holding && entry.bundle === 'main') {
      heldBack.push(entry);
      return;
    }
    definitions[entry.id] = { id: entry.id, factory: entry.factory, defined: true };
    if (!hidden.has(entry.id)) modulesMap[entry.id] = definitions[entry.id];
  }

  function require(id) {
    if (id === '__debug') return { modulesMap };
    if (loaded.has(id)) return loaded.get(id).exports;
    const definition = definitions[id];
    if (!definition) throw new Error(`Requiring unknown module "${id}"`);
    const module = { id, exports: {} };
    loaded.set(id, module);
    definition.factory(self, require, module, module.exports);
    return module.exports;
  }

  function importNamespace(id) {
    const exports = require(id);
    if (exports.__esModule) return exports;
    if (!namespaces.has(id)) namespaces.set(id, { ...exports, default: exports });
    return namespaces.get(id);
  }

  self.ErrorGuard = {
    skipGuardGlobal() {},
    applyWithGuard(callback, context, parameters) {
      return callback.apply(context, parameters || []);
    },
  };
  self.importNamespace = importNamespace;
  self.releaseLateModules = () => {
    holding = false;
    heldBack.splice(0).forEach(register);
  };

  const queued = self.__d.queue;
  self.__d = (id, dependencies, factory) =>
    register({ id, factory, bundle: document.currentScript?.dataset.bundle });
  queued.forEach(register);
  for (let number = 0; number < switches.filler; number += 1) {
    self.defineModule(`WAWebFiller${number}`, () => ({ filler: number }));
  }
  self.require = require;

  document.addEventListener('DOMContentLoaded', () => {
    setTimeout(() => require('Application').start(), switches.boot_ms);
  });
})();
