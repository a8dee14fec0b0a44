// Fakes for the unit tests of the client.
// This file contains a clock that tests move, a storage in memory, and a socket that tests control. It must not contain
// assertions; those belong to the tests.

/** A clock whose timers run when `advance` passes them, in order of their time. */
export class FakeTime {
  #now = 1_000_000;
  #nextId = 1;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (task, ms = 0) => {
    const id = this.#nextId++;
    this.#timers.set(id, { at: this.#now + ms, task });
    return id;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** The number of timers that are not due yet. */
  get timerCount() {
    return this.#timers.size;
  }

  async advance(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].task();
      await settle();
    }
    this.#now = end;
  }
}

/** Runs all tasks that wait only for promises. */
export async function settle() {
  for (let round = 0; round < 20; round += 1) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

export function memoryStorage(initial = {}) {
  const values = new Map(Object.entries(initial));
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, String(value)),
    removeItem: (key) => void values.delete(key),
  };
}

/** Returns a WebSocket class whose instances do only what the test makes them do. */
export function fakeSockets() {
  const sockets = [];
  class FakeSocket {
    sent = [];
    closedWith = null;

    constructor(url, protocols) {
      this.url = url;
      this.protocols = protocols;
      sockets.push(this);
    }

    send(text) {
      this.sent.push(JSON.parse(text));
    }

    close(code) {
      this.closedWith = code;
    }

    /** The client receives a frame from the server. */
    receive(frame) {
      this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
    }

    /** The server or the network closes the connection. */
    end(code) {
      this.onclose?.({ code });
    }

    /** Returns the last frame of this type that the client sent. */
    last(type) {
      return this.sent.filter((frame) => frame.type === type).at(-1);
    }

    count(type) {
      return this.sent.filter((frame) => frame.type === type).length;
    }
  }
  return { FakeSocket, sockets, newest: () => sockets.at(-1) };
}

export const WELCOME = {
  user_id: 'me',
  session_id: 's1',
  heartbeat_seconds: 30,
  epoch: 'e1',
  file_token: 'f1',
  conversations: {},
  reads: {},
  user_rev: 3,
};
