// Emitters, models and collections: the three things WhatsApp Web is made of.
'use strict';

defineModule('WAWebEventEmitter', () => {
  class EventEmitter {
    on(names, callback, context) {
      if (typeof callback !== 'function') throw new TypeError('Callback parameter passed is not a function');
      for (const name of String(names).split(' ')) {
        this._listenersOf(name).push({ callback, context });
      }
      return this;
    }

    once(names, callback, context) {
      const onlyOnce = (...values) => {
        this.off(names, onlyOnce);
        callback.apply(context ?? this, values);
      };
      onlyOnce.original = callback;
      return this.on(names, onlyOnce, context);
    }

    off(names, callback, context) {
      const listeners = this._listeners();
      const chosen = names ? String(names).split(' ') : [...listeners.keys()];
      for (const name of chosen) {
        const kept = (listeners.get(name) ?? []).filter(
          (listener) =>
            (callback && listener.callback !== callback && listener.callback.original !== callback) ||
            (context && listener.context !== context),
        );
        listeners.set(name, kept);
      }
      return this;
    }

    trigger(name, ...values) {
      for (const { callback, context } of [...this._listenersOf(name)]) {
        try {
          callback.apply(context ?? this, values);
        } catch (error) {
          setTimeout(() => {
            throw error;
          });
        }
      }
      if (name !== 'all') for (const { callback } of [...this._listenersOf('all')]) callback(name, ...values);
      return this;
    }

    listenTo(other, names, callback) {
      other.on(names, callback, this);
      return this;
    }

    listenToOnce(other, names, callback) {
      other.once(names, callback, this);
      return this;
    }

    listenToAndRun(other, names, callback) {
      this.listenTo(other, names, callback);
      callback.call(this);
      return this;
    }

    stopListening(other, names, callback) {
      other?.off(names, callback, this);
      return this;
    }

    isListening(name) {
      return this._listenersOf(name).length > 0;
    }

    bind(...parameters) {
      return this.on(...parameters);
    }

    unbind(...parameters) {
      return this.off(...parameters);
    }

    removeListener(...parameters) {
      return this.off(...parameters);
    }

    removeAllListeners() {
      return this.off();
    }

    emit(...parameters) {
      return this.trigger(...parameters);
    }

    _listeners() {
      if (!Object.hasOwn(this, '_events')) Object.defineProperty(this, '_events', { value: new Map() });
      return this._events;
    }

    _listenersOf(name) {
      const listeners = this._listeners();
      if (!listeners.has(name)) listeners.set(name, []);
      return listeners.get(name);
    }
  }

  return { default: EventEmitter };
});

defineModule('WAWebBaseModel', (require) => {
  const EventEmitter = require('WAWebEventEmitter').default;

  class BaseModel extends EventEmitter {
    constructor(attributes = {}, options = {}) {
      super();
      Object.defineProperty(this, 'collection', { value: options.collection, writable: true });
      const defaults = this.constructor.defaults ?? {};
      for (const [name, value] of Object.entries({ ...defaults, ...attributes })) this._write(name, value);
      this.initialize();
    }

    initialize() {}

    get isState() {
      return true;
    }

    // Own properties are called __x_body, __x_id, …; what reads like `message.body` is on the prototype.
    get attributes() {
      const own = Object.keys(this).filter((name) => name.startsWith('__x_'));
      return Object.fromEntries(own.map((name) => [name.slice(4), this[name]]));
    }

    get(name) {
      return this[name];
    }

    set(nameOrAttributes, value) {
      const changes = typeof nameOrAttributes === 'string' ? { [nameOrAttributes]: value } : nameOrAttributes;
      const changed = [];
      for (const [name, next] of Object.entries(changes)) {
        const previous = this[`__x_${name}`];
        if (previous === next) continue;
        this._write(name, next);
        changed.push([name, next, previous]);
      }
      for (const [name, next, previous] of changed) this._announce(`change:${name}`, next, previous);
      if (changed.length) this._announce('change');
      return this;
    }

    unset(names) {
      for (const name of [names].flat()) this.set(name, undefined);
    }

    serialize() {
      return this.attributes;
    }

    toJSON() {
      return this.serialize();
    }

    unsafe() {
      return this;
    }

    safe() {
      return this;
    }

    delete() {
      this.collection?.remove(this);
    }

    _announce(name, ...values) {
      this.trigger(name, this, ...values);
      this.collection?.trigger(name, this, ...values);
    }

    _write(name, value) {
      if (!(name in this)) defineAccessor(this.constructor.prototype, name);
      this[`__x_${name}`] = value;
    }
  }

  function defineAccessor(prototype, name) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      get() {
        return this[`__x_${name}`];
      },
      set(value) {
        this.set(name, value);
      },
    });
  }

  // The real one turns a class with declared properties into a model with live accessors.
  function defineModel(modelClass, proxyName, defaults) {
    modelClass.prototype.proxyName = proxyName;
    for (const name of Object.keys(defaults)) {
      if (!(name in modelClass.prototype)) defineAccessor(modelClass.prototype, name);
    }
    modelClass.defaults = defaults;
    return modelClass;
  }

  return { BaseModel, defineModel };
});

defineModule('WAWebCollection', (require) => {
  const EventEmitter = require('WAWebEventEmitter').default;
  const { BaseModel } = require('WAWebBaseModel');

  // Accepts "id", Wid, MsgKey, a model, or plain attributes.
  function keyOf(value) {
    if (value === undefined || value === null) return undefined;
    if (value instanceof BaseModel || value.toString === Object.prototype.toString) return keyOf(value.id);
    return value.toString();
  }

  class Collection extends EventEmitter {
    constructor(models = [], options = {}) {
      super();
      this.modelClass = options.model ?? this.constructor.model;
      if (!this.modelClass) throw new Error('Collection initialized without model');
      Object.defineProperty(this, '_models', { value: [] });
      Object.defineProperty(this, '_index', { value: new Map() });
      this.add(models);
    }

    get length() {
      return this._models.length;
    }

    add(values, options = {}) {
      const added = [values].flat().map((value) => this._addOne(value, options));
      return Array.isArray(values) ? added : added[0];
    }

    remove(values) {
      for (const value of [values].flat()) {
        const model = this.get(value);
        if (!model) continue;
        this._index.delete(keyOf(model));
        this._models.splice(this._models.indexOf(model), 1);
        this.trigger('remove', model, this);
      }
    }

    reset() {
      this._models.length = 0;
      this._index.clear();
      this.trigger('reset', this);
    }

    get(value) {
      return this._index.get(keyOf(value));
    }

    assertGet(value) {
      const model = this.get(value);
      if (!model) throw new Error(`${keyOf(value)} is not in the collection`);
      return model;
    }

    isModel(value) {
      return value instanceof this.modelClass;
    }

    getModelsArray() {
      return this._models;
    }

    toArray() {
      return [...this._models];
    }

    at(position) {
      return this._models.at(position);
    }

    head() {
      return this._models[0];
    }

    last() {
      return this._models.at(-1);
    }

    findFirst(...parameters) {
      return this._models.find(...parameters);
    }

    where(values) {
      return values.map((value) => this.get(value)).filter(Boolean);
    }

    serialize() {
      return this._models.map((model) => model.serialize());
    }

    toJSON() {
      return this.serialize();
    }

    sort() {
      if (this.constructor.comparator) this._models.sort(this.constructor.comparator);
      this.trigger('sort', this);
      return this;
    }

    _addOne(value, options) {
      const known = this.get(value);
      if (known) {
        if (options.merge) known.set(value.attributes ?? value);
        return known;
      }
      const model = this.isModel(value) ? value : new this.modelClass(value);
      model.collection ??= this;
      this._models.push(model);
      this._index.set(keyOf(model), model);
      if (this.constructor.comparator) this._models.sort(this.constructor.comparator);
      if (!options.silent) this.trigger('add', model, this);
      return model;
    }
  }

  const searching = ['indexOf', 'lastIndexOf', 'includes', 'every', 'some', 'filter', 'find'];
  for (const name of [...searching, 'forEach', 'map', 'reduce', 'slice']) {
    Collection.prototype[name] = function (...parameters) {
      return this._models[name](...parameters);
    };
  }

  return { default: Collection };
});

defineModule('WAWebBaseCollection', (require) => {
  const Collection = require('WAWebCollection').default;

  class BaseCollection extends Collection {
    async find(id) {
      return this.get(id) ?? this.add(await this.findQuery(id));
    }

    async findQuery(id) {
      return { id };
    }

    async update(id) {
      return this.find(id);
    }

    gadd(id) {
      return this.get(id) ?? this.add({ id });
    }
  }

  return { BaseCollection };
});
