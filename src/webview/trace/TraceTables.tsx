import type { VNode } from 'preact';
import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import { ErrorState } from '../figures/States.tsx';
import type { TracePartProps } from './traceProps.ts';
import { componentsTable, lensTable, tokensTable } from './traceTables.ts';

/** The numbers of the figures, as tables in their place. */
export function TraceTables({ document, state, theme, view, actions }: TracePartProps): VNode {
  const one = (table: TableModel): VNode => (
    // Focusable, so that the keyboard can scroll it.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable.
    <section class="m-table-scroll" tabIndex={0} aria-label={table.caption}>
      <DataTable
        theme={theme}
        table={table}
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
      />
    </section>
  );
  return (
    <div class="m-tables">
      {one(tokensTable(document))}
      {one(componentsTable(document))}
      {state.lensError ? (
        <ErrorState what="The logit lens failed" message={state.lensError} onShowLog={actions.showLog} />
      ) : null}
      {state.lens ? one(lensTable(document, state.lens)) : null}
    </div>
  );
}
