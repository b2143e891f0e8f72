import type { TraceDocument } from '../../src/shared/traceDocument.ts';
import type { TracePanelState } from '../../src/shared/tracePanelProtocol.ts';
import { defaultComponent, defaultToken } from '../../src/shared/traceSelection.ts';
import { makeHead, makeLens, makeTrace, nurse } from './traceFixture.ts';

/** A state as the host sends it when everything has arrived. */
export function readyState(document: TraceDocument = makeTrace()): TracePanelState {
  const component = defaultComponent(document);
  const token = defaultToken(document);
  return {
    title: 'pronouns.prompt:13',
    status: 'ready',
    progress: null,
    error: null,
    document,
    lens: makeLens(document),
    lensError: null,
    head: component && makeHead(document, component.layer, component.head ?? 0, token ?? 0),
    headError: null,
    selection: { token: null, component: null },
  };
}

/** A prompt of 100 tokens on a small model. */
export function hundred(): TraceDocument {
  const tokens = Array.from({ length: 100 }, (_, i) => nurse[i % nurse.length]);
  return makeTrace({ tokens, nLayers: 4, nHeads: 3 });
}
