import type { ComponentRef } from '../../shared/tracePanelProtocol.ts';
import { componentName } from '../../shared/traceSelection.ts';
import type { MenuItem } from '../figures/Menu.tsx';

/** What *Export* offers. Each CSV is one of the panel's tables. */
export function exportItems(component: ComponentRef | null): MenuItem[] {
  return [
    { id: 'svg', label: 'SVG' },
    { id: 'png', label: 'PNG' },
    { id: 'csv-components', label: 'CSV: Components' },
    { id: 'csv-tokens', label: 'CSV: Tokens' },
    { id: 'csv-lens', label: 'CSV: Logit Lens' },
    ...(component?.kind === 'head'
      ? [{ id: 'csv-sources', label: `CSV: ${componentName(component)} by Source Token` }]
      : []),
    { id: 'json', label: 'JSON' },
    { id: 'html', label: 'HTML Report' },
    { id: 'citation', label: 'Copy Citation' },
  ];
}
