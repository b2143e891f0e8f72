import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import type { CircuitEvaluation } from '../../shared/circuit.ts';
import type { SimplePicture } from '../../shared/figures.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { PictureView } from '../results/PictureView.tsx';
import type { CircuitDrawnProps } from './circuitProps.ts';
import {
  addBackPicture,
  faithfulnessPicture,
  minimalityPicture,
  nullPicture,
  shortNode,
} from './evaluationPictures.ts';
import { roleColor, rolesOf } from './roleMarks.tsx';

/** Colour of each node's role, by the name that its bar has. */
function useRoleColors({ theme, circuit }: CircuitDrawnProps): ReadonlyMap<string, string> {
  return useMemo(() => {
    const roles = rolesOf(circuit).map(({ role }) => role);
    const color = (role: string | undefined): string =>
      role === undefined || isHighContrast(theme.palette)
        ? theme.palette.secondary
        : roleColor(theme, roles.indexOf(role));
    return new Map(circuit.nodes.map(({ node, role }) => [shortNode(node), color(role)]));
  }, [theme, circuit]);
}

/** What has not come yet, in the place where it will stand. */
function Waiting({ title, stopped }: { title: string; stopped: boolean }): VNode {
  return (
    <div class="m-figure">
      <div class="m-heading">
        <h2>{title}</h2>
      </div>
      <p class="m-caption">{stopped ? 'Not computed.' : 'Computing…'}</p>
    </div>
  );
}

interface Part {
  readonly picture: SimplePicture | null;
  readonly waiting: string;
}

/** Parts that have come; the null is always one of them. */
function partsOf(evaluation: CircuitEvaluation, answer: CircuitDrawnProps['answer']): readonly (readonly Part[])[] {
  const filled = (there: boolean, picture: SimplePicture, waiting: string): Part => ({
    picture: there ? picture : null,
    waiting,
  });
  return [
    [
      { picture: faithfulnessPicture(evaluation, answer), waiting: '' },
      filled(
        evaluation.minimality.length > 0 || evaluation.circuit.nodes.length === 0,
        minimalityPicture(evaluation, answer),
        'Minimality',
      ),
    ],
    [
      filled(
        evaluation.random.overall.length > 0,
        nullPicture(evaluation, answer),
        'Against size-matched random circuits',
      ),
    ],
    [filled(evaluation.addBack.given.length > 0, addBackPicture(evaluation, answer), 'Nodes added back one by one')],
  ];
}

/** Always in sight: faithfulness, minimality, the null, the add-back curve. Old numbers are grey until new ones come. */
export function Evidence(props: CircuitDrawnProps & { partWidth: number; evaluation: CircuitEvaluation }): VNode {
  const { evaluation, answer, theme, view, actions, state, partWidth } = props;
  const colors = useRoleColors(props);
  const parts = useMemo(() => partsOf(evaluation, answer), [evaluation, answer]);
  const old = state.freshness === 'old';
  return (
    <div class={old ? 'm-evidence m-old' : 'm-evidence'} aria-busy={old}>
      {parts.map((column, c) => (
        <section key={c} class="m-picture">
          {column.map(({ picture, waiting }) =>
            picture === null ? (
              <Waiting key={waiting} title={waiting} stopped={state.error !== null} />
            ) : (
              <PictureView
                key={picture.id}
                theme={theme}
                document={{ pictures: [picture] }}
                view={{ ...view, numbers: null }}
                picture={picture}
                width={partWidth}
                actions={actions}
                colors={picture.id === 'minimality' ? colors : undefined}
              />
            ),
          )}
        </section>
      ))}
    </div>
  );
}
