// What survives the page: IndexedDB 'wawc' holds the device, 'model-storage' the chats and messages.
'use strict';

defineModule('Storage', () => {
  const stores = { device: 'wawc', message: 'model-storage', chat: 'model-storage' };
  const databases = new Map();

  function open(name) {
    if (!databases.has(name)) {
      databases.set(
        name,
        new Promise((resolve, reject) => {
          const request = indexedDB.open(name, 1);
          request.onupgradeneeded = () => {
            for (const store of Object.keys(stores)) {
              if (stores[store] === name) request.result.createObjectStore(store);
            }
          };
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        }),
      );
    }
    return databases.get(name);
  }

  async function run(store, mode, work) {
    const database = await open(stores[store]);
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(store, mode);
      const request = work(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  // Writes gather while one is under way, so that a burst costs a few transactions and not thousands.
  let waiting = new Map();
  let flush = null;
  let writing = null;

  function write(store, key, value) {
    if (!waiting.has(store)) waiting.set(store, new Map());
    waiting.get(store).set(key, value);
    flush ??= Promise.resolve(writing).then(() => {
      const gathered = waiting;
      waiting = new Map();
      flush = null;
      writing = Promise.all([...gathered].map(([name, entries]) => putAll(name, entries)));
      return writing;
    });
    return flush;
  }

  const putAll = (store, entries) =>
    run(store, 'readwrite', (objects) => {
      for (const [key, value] of entries) objects.put(value, key);
    });

  return {
    read: (store, key) => run(store, 'readonly', (objects) => objects.get(key)),
    readAll: (store) => run(store, 'readonly', (objects) => objects.getAll()),
    write,
    written: () => flush ?? writing,
    async clear() {
      await (flush ?? writing);
      await Promise.all(Object.keys(stores).map((store) => run(store, 'readwrite', (objects) => objects.clear())));
    },
  };
});

// The weight of a big account: entries that do not compress, small enough to stay in LevelDB.
defineModule('Hoard', () => {
  const ENTRY_BYTES = 48 * 1024;
  const ENTRIES_PER_MEBIBYTE = Math.ceil((1 << 20) / ENTRY_BYTES);
  const MEBIBYTES_AT_ONCE = 4;

  const open = () =>
    new Promise((resolve, reject) => {
      const request = indexedDB.open('hoard', 1);
      request.onupgradeneeded = () => request.result.createObjectStore('entry', { autoIncrement: true });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  const add = (database, mebibytes) =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction('entry', 'readwrite');
      const entries = transaction.objectStore('entry');
      for (let left = mebibytes * ENTRIES_PER_MEBIBYTE; left > 0; left -= 1) {
        entries.add(crypto.getRandomValues(new Uint8Array(ENTRY_BYTES)));
      }
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });

  return {
    async grow(mebibytes) {
      const database = await open();
      for (let left = mebibytes; left > 0; left -= MEBIBYTES_AT_ONCE) {
        await add(database, Math.min(left, MEBIBYTES_AT_ONCE));
      }
      database.close();
    },
  };
});
