import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { ChartFigure } from '../charts/ChartFigure.tsx';
import { Button, LinkButton } from '../figures/Button.tsx';
import { DataTable } from '../figures/DataTable.tsx';
import { featureName, type Pair } from './couplingOrder.ts';
import type { CouplingProps } from './couplingProps.ts';
import { couplingScatter } from './couplingScatter.tsx';
import { pairTable } from './couplingTables.ts';
import { corpusText } from './couplingText.ts';

type Props = CouplingProps & { readonly pair: Pair };

function NoCorpus({ actions }: Props): VNode {
  return (
    <div class="m-coupling-empty">
      <p>
        The matrix needs the weights only. On text it can be seen whether the features go together there as well: slope,
        r² and Cₛ, with a scatter of the selected pair. Any text file will do; 40,000 tokens are plenty.
      </p>
      <Button label="Choose Corpus" primary onClick={() => actions.request({ type: 'chooseCorpus' })} />
    </div>
  );
}

/** The selected pair on text: scores of tokens, the fit, what C predicts; or the way to a corpus. */
export function Measured(props: Props): VNode {
  const { theme, picture, pair, view, width, actions } = props;
  const { corpus, features } = picture;
  const drawing = useMemo(
    () => couplingScatter(theme, picture, pair, width),
    [theme, picture, pair.row, pair.column, width],
  );
  const sample = `${picture.id} sample`;
  const heading = (
    <>
      <h2>Measured on text</h2>
      {corpus === null ? null : <h3>{corpusText(corpus)}</h3>}
      <span class="m-coupling-link">
        <LinkButton
          label="Top Tokens"
          onClick={() => actions.request({ type: 'topTokens', features: [pair.row, pair.column] })}
        />
      </span>
    </>
  );
  return (
    <section class="m-coupling-measured">
      {drawing === null ? (
        <>
          <div class="m-heading">{heading}</div>
          {corpus === null ? <NoCorpus {...props} /> : <p class="m-caption">No token of the corpus was sampled.</p>}
        </>
      ) : (
        <ChartFigure
          theme={theme}
          title={`Scores of ${featureName(features[pair.row])} and ${featureName(features[pair.column])} on text`}
          drawing={drawing}
          noun="tokens"
          heading={heading}
          selected={view.selected[sample] ?? null}
          onSelect={(mark) => actions.select(sample, mark.id)}
          onCopy={actions.copy}
          onTable={actions.table}
        />
      )}
      <div class="m-coupling-numbers">
        <DataTable theme={theme} table={pairTable(picture, pair)} sort={null} hideCaption />
      </div>
    </section>
  );
}
