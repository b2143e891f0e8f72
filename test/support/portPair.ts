import type { MessagePortLike } from '../../src/shared/rpc.ts';

/** A port that can be cut, and into which a test can put any message. */
export interface TestPort extends MessagePortLike {
  readonly sent: unknown[];
  receive(message: unknown): void;
  cut(): void;
}

/** Two ends joined by structured clone, in order, each message in its own turn: like a fork channel. */
export function portPair(): [TestPort, TestPort] {
  let open = true;
  const ends: End[] = [];
  class End implements TestPort {
    readonly sent: unknown[] = [];
    readonly messageListeners: ((message: unknown) => void)[] = [];
    readonly closeListeners: (() => void)[] = [];
    other: End | undefined;
    post(message: unknown) {
      const copy = structuredClone(message);
      this.sent.push(copy);
      if (open) setImmediate(() => this.other?.receive(copy));
    }
    receive(message: unknown) {
      for (const listener of this.messageListeners) listener(message);
    }
    onMessage(listener: (message: unknown) => void) {
      this.messageListeners.push(listener);
    }
    onClose(listener: () => void) {
      this.closeListeners.push(listener);
    }
    cut() {
      open = false;
      for (const end of ends) for (const listener of end.closeListeners) listener();
    }
  }
  const [a, b] = [new End(), new End()];
  ends.push(a, b);
  a.other = b;
  b.other = a;
  return [a, b];
}
