import { CircuitDesk, importEapIg } from '../core/session/circuitDesk.ts';
import type { CircuitNotifications, CircuitRequests, ScoredCircuit } from '../shared/circuitRequests.ts';
import type { Handlers } from '../shared/rpc.ts';
import type { ModelTurns } from './modelTurns.ts';

/** Shortest time between two reports of one circuit, in milliseconds: a panel draws no more often. */
const INTERVAL_MS = 250;

type Notify = (name: keyof CircuitNotifications, params: unknown) => void;

/** Answers to the circuit panel. A newer question goes first; the older one is cancelled by its asker. */
export function circuitHandlers(
  turns: ModelTurns,
  notify: Notify,
  memoryBytes: () => number,
): Handlers<CircuitRequests> {
  const desk = new CircuitDesk();
  return {
    'circuit.open': (question, context) =>
      turns.withModel(question.model, context, (engine, job) => desk.open(engine, question, memoryBytes(), job)),
    'circuit.evaluate': ({ question, token }, context) => {
      let sent = 0;
      const onScored = (scored: ScoredCircuit): void => {
        if (Date.now() - sent < INTERVAL_MS) return;
        sent = Date.now();
        notify('circuit.scored', { token, scored });
      };
      return turns.inTurns(question.model, context, (engine, job) =>
        desk.evaluate(engine, question, memoryBytes(), onScored, job),
      );
    },
    'circuit.convert': (params, context) =>
      turns.withModel(params.question.model, context, (engine, job) =>
        desk.convert(engine, params, memoryBytes(), job),
      ),
    'circuit.import': (params, context) =>
      turns.withModel(params.model, context, (engine) => importEapIg(engine, params)),
    'circuit.detail': (params, context) =>
      turns.withModel(params.question.model, context, (engine, job) => desk.detail(engine, params, memoryBytes(), job)),
  };
}
