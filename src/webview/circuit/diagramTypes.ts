import type { Channel, CircuitFile } from '../../shared/circuit.ts';
import type { CircuitRead, CircuitSetting } from '../../shared/circuitPanelProtocol.ts';
import type { Grouping } from './circuitView.ts';
import type { NodeGroup } from './diagramBoxes.ts';
import type { ColumnPlace } from './diagramColumns.ts';
import type { AnswerChoice } from './evaluationPictures.ts';

export const boxWidth = 62;
export const boxHeight = 21;

/** What a diagram is laid out from. */
export interface DiagramInput {
  readonly circuit: CircuitFile;
  readonly setting: CircuitSetting;
  readonly columns: 'positions' | 'roles';
  readonly group: Grouping | null;
  readonly threshold: number | null;
  readonly answer: AnswerChoice;
  readonly reads: readonly CircuitRead[];
  /** Effect of a node on the metric, by name: what is lost without it, or what its method said. */
  readonly effects: ReadonlyMap<string, number>;
  /** Px that are there; the diagram may be wider. */
  readonly width: number;
}

export interface DiagramBox extends NodeGroup {
  readonly x: number;
  readonly y: number;
}

export interface DiagramColumn extends ColumnPlace {
  readonly left: number;
  readonly width: number;
  /** Of the residual stream. */
  readonly x: number;
}

export interface DiagramLayer {
  readonly layer: number;
  /** Centre. */
  readonly y: number;
  /** Empty where there is no room. */
  readonly label: string;
}

export interface DiagramLayout {
  readonly width: number;
  readonly height: number;
  readonly columns: readonly DiagramColumn[];
  readonly layers: readonly DiagramLayer[];
  readonly boxes: readonly DiagramBox[];
  readonly wires: readonly Wire[];
  /** Edges that are not drawn, and the |effect| under which they are. */
  readonly hidden: { readonly count: number; readonly below: number };
  /** |effect| of the widest wire; 0 when none has an effect. */
  readonly largest: number;
  readonly logits: { readonly x: number; readonly y: number };
  /** Ends of the residual streams. */
  readonly top: number;
  readonly bottom: number;
}

/** A line from a residual stream into a box, or along a stream. */
export interface Wire {
  readonly id: string;
  /** Box that writes; null: the embedding, or whatever the stream holds. */
  readonly from: string | null;
  /** Name of the column whose stream is read. */
  readonly column: string;
  /** Box that reads; null: the logits. */
  readonly to: string | null;
  readonly channel: Channel | null;
  /** Null: no number is known. */
  readonly effect: number | null;
  /** Px. */
  readonly stroke: number;
  /** Stream and stretch of it that carries the signal, px. */
  readonly trunk: { readonly x: number; readonly from: number; readonly to: number } | null;
  /** Into the reader: along a layer, and down into the box where others stand between. */
  readonly branch: {
    readonly y: number;
    readonly from: number;
    readonly to: number;
    readonly down: number | null;
  } | null;
  readonly name: string;
  /** The effect in words, or the attention. */
  readonly said: string;
}
