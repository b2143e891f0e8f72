import type { VNode } from 'preact';
import { MenuButton } from '../figures/Menu.tsx';
import { Segmented } from '../figures/PanelHeader.tsx';
import type { FiguresView } from '../results/figuresView.ts';
import { measureChoices } from './couplingText.ts';

/** In the panel's header: which number the matrix shows, and what stands together in it. */
export function CouplingModes(props: {
  view: Pick<FiguresView, 'measure' | 'grouping'>;
  setView: (change: Partial<FiguresView>) => void;
}): VNode {
  const { view, setView } = props;
  return (
    <>
      <Segmented
        label="Number of a pair"
        choices={measureChoices}
        value={view.measure}
        onChange={(measure) => setView({ measure })}
      />
      <MenuButton
        label="Group order"
        icon="list-tree"
        items={[
          { id: 'observable', label: 'By Observable', checked: view.grouping === 'observable' },
          { id: 'node', label: 'By Node', checked: view.grouping === 'node' },
        ]}
        onPick={(id) => setView({ grouping: id === 'node' ? 'node' : 'observable' })}
      />
    </>
  );
}
