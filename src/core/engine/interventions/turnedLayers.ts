import { MechanistError } from '../../../shared/errors.ts';
import type { ModelConfig } from '../../models/modelConfig.ts';
import { rotaryFeeds } from '../attentionInputs.ts';
import { graphHooks } from '../hookPoints.ts';
import type { LayerEdits } from '../stackPass.ts';

type LayerOf = (layer: number) => LayerEdits | undefined;

/** A layer without other changes. */
function unchanged(config: ModelConfig): LayerEdits {
  return {
    kind: null,
    hooks: graphHooks(config),
    whole: false,
    feeds: () => ({}),
    residPre: (x) => x,
    residPost: (x) => x,
  };
}

/**
 * The edits of `layer` with queries and keys turned by the rotary angles of other positions: those of `turnedAs[i]` for the token
 * at i. What a token may attend to stays as it is.
 * @throws MechanistError `bad-input` for a model without rotary positions, or where there is not one position for each token
 */
export function turnedLayers(
  config: ModelConfig,
  turnedAs: readonly number[],
  length: number,
  layer: LayerOf,
): LayerOf {
  const { positions } = config;
  if (positions.kind !== 'rotary') {
    throw new MechanistError(
      'bad-input',
      'This model does not turn queries and keys: exchange its position embeddings.',
    );
  }
  if (turnedAs.length !== length || !turnedAs.every((at) => Number.isSafeInteger(at) && at >= 0)) {
    const message = `There must be one position from 0 on for each of the ${length} tokens, not ${turnedAs.length}.`;
    throw new MechanistError('bad-input', message);
  }
  return (at) => {
    const own = layer(at) ?? unchanged(config);
    return {
      ...own,
      feeds: (tile) => ({
        ...own.feeds(tile),
        ...rotaryFeeds(positions, turnedAs.slice(tile.firstRow, tile.firstRow + tile.rows)),
      }),
    };
  };
}
