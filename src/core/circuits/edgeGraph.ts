import type { Channel, CircuitEdge, CircuitFile, NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { type NodePart, nodeName, requireNode } from './nodeNames.ts';

/** What reads the residual stream. */
export interface Reader {
  /** `nLayers` for the logits. */
  readonly layer: number;
  readonly channel: Channel;
  /** Query head for q, key-value head for k and v, 0 otherwise. */
  readonly head: number;
  /** It reads writers 0 … upstream − 1. */
  readonly upstream: number;
  /** Edge from writer w: number `firstEdge + w`. */
  readonly firstEdge: number;
}

type Sizes = Pick<ModelConfig, 'nLayers' | 'nHeads' | 'nKeyValueHeads' | 'dMlp' | 'parallelResidual'>;

/**
 * The computational graph at the grain of Conmy et al. (2304.14997): writers are the embedding, every head and every MLP;
 * readers the query input of every head, the key and value input of every key-value head, every MLP and the logits. An edge
 * is what a writer adds to a reader's input. Writers are numbered in the order in which they run, so that a reader's writers
 * are the first so many.
 */
export class EdgeGraph {
  readonly writers: number;
  readonly readers: readonly Reader[];
  readonly edges: number;
  /** Query heads that share one key-value head. */
  readonly groupSize: number;

  constructor(readonly sizes: Sizes) {
    const { nLayers, nHeads, nKeyValueHeads, parallelResidual } = sizes;
    this.groupSize = nHeads / nKeyValueHeads;
    this.writers = 1 + nLayers * (nHeads + 1);
    const readers: Reader[] = [];
    let firstEdge = 0;
    const add = (layer: number, channel: Channel, head: number, upstream: number) => {
      readers.push({ layer, channel, head, upstream, firstEdge });
      firstEdge += upstream;
    };
    for (let layer = 0; layer < nLayers; layer += 1) {
      const before = this.firstWriter(layer);
      for (let head = 0; head < nHeads; head += 1) add(layer, 'q', head, before);
      for (const channel of ['k', 'v'] as const) {
        for (let head = 0; head < nKeyValueHeads; head += 1) add(layer, channel, head, before);
      }
      add(layer, 'mlp', 0, parallelResidual ? before : before + nHeads);
    }
    add(nLayers, 'logits', 0, this.writers);
    this.readers = readers;
    this.edges = firstEdge;
  }

  /** Number of the first head of a layer; as many writers run before it. */
  firstWriter(layer: number): number {
    return 1 + layer * (this.sizes.nHeads + 1);
  }

  /** Readers of q, k and v in one layer. */
  get attentionReaders(): number {
    return this.sizes.nHeads + 2 * this.sizes.nKeyValueHeads;
  }

  /** Number of the first reader of a layer (of the logits for `nLayers`). */
  firstReader(layer: number): number {
    return layer * (this.attentionReaders + 1);
  }

  writerPart(writer: number): NodePart {
    if (writer === 0) return { kind: 'emb' };
    const { nHeads } = this.sizes;
    const [layer, head] = [Math.floor((writer - 1) / (nHeads + 1)), (writer - 1) % (nHeads + 1)];
    return head === nHeads ? { kind: 'mlp', layer } : { kind: 'head', layer, head };
  }

  /** @throws MechanistError `bad-input` for the logits, neurons and nodes that the model lacks */
  writer(name: NodeName): number {
    const part = requireNode(name, this.sizes);
    switch (part.kind) {
      case 'emb':
        return 0;
      case 'head':
        return this.firstWriter(part.layer) + part.head;
      case 'mlp':
        return this.firstWriter(part.layer) + this.sizes.nHeads;
      case 'logits':
      case 'neuron':
        throw new MechanistError('bad-input', `${name} cannot be where an edge comes from.`, { node: name });
    }
  }

  /** Writers that a reader feeds: the heads of a key-value group, one head, one MLP; none for the logits. */
  writersOf({ layer, channel, head }: Reader): number[] {
    const { nHeads } = this.sizes;
    const first = this.firstWriter(layer);
    switch (channel) {
      case 'q':
        return [first + head];
      case 'k':
      case 'v':
        return Array.from({ length: this.groupSize }, (_, i) => first + head * this.groupSize + i);
      case 'mlp':
        return [first + nHeads];
      case 'logits':
        return [];
    }
  }

  /** Readers that feed a writer; none for the embedding. */
  readersOf(writer: number): Reader[] {
    const part = this.writerPart(writer);
    if (part.kind !== 'head' && part.kind !== 'mlp') return [];
    const own = this.readers.slice(this.firstReader(part.layer), this.firstReader(part.layer + 1));
    return own.filter((reader) => this.writersOf(reader).includes(writer));
  }

  /** @throws MechanistError `bad-input` for an edge that the model does not have */
  reader(to: NodeName, channel: Channel): Reader {
    const part = requireNode(to, this.sizes);
    const { nLayers, nHeads, nKeyValueHeads } = this.sizes;
    const at = (layer: number, place: number) => this.readers[this.firstReader(layer) + place];
    if (part.kind === 'logits' && channel === 'logits') return at(nLayers, 0);
    if (part.kind === 'mlp' && channel === 'mlp') return at(part.layer, this.attentionReaders);
    if (part.kind === 'head') {
      const group = Math.floor(part.head / this.groupSize);
      if (channel === 'q') return at(part.layer, part.head);
      if (channel === 'k') return at(part.layer, nHeads + group);
      if (channel === 'v') return at(part.layer, nHeads + nKeyValueHeads + group);
    }
    throw new MechanistError(
      'bad-input',
      `${to} does not read by the channel "${channel}": heads read by q, k and v, MLPs by mlp, the logits by logits.`,
      { node: to },
    );
  }

  /** Number of an edge. @throws MechanistError `bad-input` for one that the model does not have */
  edge({ from, to, channel }: Pick<CircuitEdge, 'from' | 'to' | 'channel'>): number {
    const [writer, { upstream, firstEdge }] = [this.writer(from), this.reader(to, channel)];
    if (writer < upstream) return firstEdge + writer;
    throw new MechanistError('bad-input', `There is no edge from ${from} to ${to}: it runs before ${from} does.`, {
      from,
      to,
    });
  }

  /** 1 for every edge of a circuit. @throws MechanistError `bad-input` */
  keep(circuit: Pick<CircuitFile, 'edges' | 'name'>): Uint8Array {
    if (circuit.edges === undefined) {
      throw new MechanistError('bad-input', `The circuit ${circuit.name} has no edges: evaluate its heads instead.`);
    }
    const keep = new Uint8Array(this.edges);
    for (const edge of circuit.edges) keep[this.edge(edge)] = 1;
    return keep;
  }

  /** Every edge with its reader and writer, in order. */
  each(visit: (edge: number, reader: Reader, writer: number) => void): void {
    for (const reader of this.readers) {
      for (let writer = 0; writer < reader.upstream; writer += 1) visit(reader.firstEdge + writer, reader, writer);
    }
  }

  /**
   * An edge as circuit files write it: `to` is a head for q, k and v. An edge to a key-value head is written once for each
   * query head of its group that `heads` holds.
   */
  describe(reader: Reader, writer: number, heads: ReadonlySet<number>): Pick<CircuitEdge, 'from' | 'to' | 'channel'>[] {
    const from = nodeName(this.writerPart(writer));
    const { channel } = reader;
    if (channel === 'logits') return [{ from, to: 'logits', channel }];
    return this.writersOf(reader)
      .filter((fed) => heads.has(fed))
      .map((fed) => ({ from, to: nodeName(this.writerPart(fed)), channel }));
  }
}
