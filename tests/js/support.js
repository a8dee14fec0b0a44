// Stand-ins for the unit tests of the client.
// Lives here: a clock that moves when told, a storage in memory, a socket driven by a script.
// May not live here: expectations; those belong to the tests.

/** A clock whose timers run when `advance` passes them, in order of their time. */
export class FakeTime {
  #now = 1_000_000;
  #next = 1;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (task, ms = 0) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + ms, task });
    return id;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** Timers that wait. */
  get waiting() {
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

/** Lets everything that only waits for promises happen. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
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

/** A WebSocket class whose instances do only what the test says. */
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

    /** The server says something. */
    hear(frame) {
      this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
    }

    /** The server, or the network, ends the connection. */
    end(code) {
      this.onclose?.({ code });
    }

    /** The last frame of a type that was sent. */
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
