import type { CircuitFile } from '../../shared/circuit.ts';
import type {
  CircuitEdit,
  CircuitPanelState,
  CircuitSetting,
  FromCircuitPanel,
  PanelMetric,
} from '../../shared/circuitPanelProtocol.ts';
import type { Theme } from '../figures/theme.ts';
import type { PictureActions } from '../results/PictureView.tsx';
import type { CircuitView } from './circuitView.ts';
import type { AnswerChoice } from './evaluationPictures.ts';

/** What a person can do in the panel. */
export interface CircuitActions extends PictureActions {
  readonly setView: (change: Partial<CircuitView>) => void;
  readonly edit: (edit: CircuitEdit) => void;
  readonly score: (metric: PanelMetric) => void;
  readonly ask: (message: Extract<FromCircuitPanel, { type: 'ask' }>) => void;
  readonly exportAs: (id: string) => void;
  readonly tell: (type: 'showLog' | 'openAsText' | 'goOn' | 'chooseData' | 'retry' | 'cancel' | 'importGraph') => void;
}

export interface CircuitPanelProps {
  readonly state: CircuitPanelState;
  readonly view: CircuitView;
  readonly theme: Theme;
  readonly width: number;
  readonly actions: CircuitActions;
  /** Something that failed in the page itself, e.g. an export. */
  readonly problem?: string | null;
}

/** What every part of a circuit's panel gets. */
export interface CircuitPartProps extends CircuitPanelProps {
  readonly circuit: CircuitFile;
  readonly answer: AnswerChoice;
  /** Selected node, in the circuit or outside. */
  readonly node: string | null;
}

/** Parts that need model and data. */
export interface CircuitDrawnProps extends CircuitPartProps {
  readonly setting: CircuitSetting;
}
