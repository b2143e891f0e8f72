import { flatten, parseColor } from '../../shared/color.ts';
import { type Palette, palettes, type ThemeKind } from '../../shared/palette.ts';

/**
 * What a figure is drawn with. Figures write these values as SVG attributes, so that what is exported is what was seen.
 */
export interface Theme {
  readonly palette: Palette;
  readonly uiFont: string;
  readonly codeFont: string;
}

/** VS Code's variable(s) for each role, first one that is set wins; the default theme's colour is the last resort. */
const sources: Readonly<Record<Exclude<keyof Palette, 'kind'>, readonly string[]>> = {
  background: ['--vscode-editor-background'],
  foreground: ['--vscode-foreground', '--vscode-editor-foreground'],
  secondary: ['--vscode-descriptionForeground'],
  rule: ['--vscode-panel-border'],
  tableRule: ['--vscode-widget-border', '--vscode-panel-border'],
  grid: ['--vscode-editorIndentGuide-background1', '--vscode-panel-border'],
  focus: ['--vscode-focusBorder'],
  link: ['--vscode-textLink-foreground'],
  selection: ['--vscode-list-inactiveSelectionBackground'],
  selectionText: ['--vscode-list-inactiveSelectionForeground', '--vscode-foreground'],
  hover: ['--vscode-editorHoverWidget-background'],
  hoverBorder: ['--vscode-editorHoverWidget-border'],
  hoverText: ['--vscode-editorHoverWidget-foreground', '--vscode-foreground'],
  warning: ['--vscode-editorWarning-foreground'],
  error: ['--vscode-errorForeground'],
  progress: ['--vscode-progressBar-background'],
  positive: ['--vscode-mechanist-positive', '--vscode-charts-blue'],
  negative: ['--vscode-mechanist-negative', '--vscode-charts-orange'],
  category1: ['--vscode-mechanist-category1', '--vscode-charts-purple'],
  category2: ['--vscode-mechanist-category2', '--vscode-charts-yellow'],
  sequential: ['--vscode-mechanist-sequential', '--vscode-terminal-ansiCyan'],
};

/** In high contrast these roles take VS Code's contrast borders and the plain foreground, whatever the theme says. */
const contrastSources: Partial<typeof sources> = {
  rule: ['--vscode-contrastBorder'],
  tableRule: ['--vscode-contrastBorder'],
  grid: ['--vscode-contrastBorder'],
  hoverBorder: ['--vscode-contrastBorder'],
  focus: ['--vscode-contrastActiveBorder', '--vscode-focusBorder'],
  selection: ['--vscode-editor-background'],
  positive: ['--vscode-foreground'],
  negative: ['--vscode-foreground'],
  category1: ['--vscode-foreground'],
  category2: ['--vscode-foreground'],
  sequential: ['--vscode-foreground'],
};

const codeFontFallback = 'Menlo, Consolas, "DejaVu Sans Mono", monospace';
const uiFontFallback = 'system-ui, "Segoe UI", Ubuntu, sans-serif';

/** Theme of the page from its classes (VS Code sets them on `body`) and the person's forced colours. */
export function themeKind(classes: readonly string[], forcedDark: boolean | null): ThemeKind {
  if (forcedDark !== null) return forcedDark ? 'highContrastDark' : 'highContrastLight';
  if (classes.includes('vscode-high-contrast-light')) return 'highContrastLight';
  if (classes.includes('vscode-high-contrast')) return 'highContrastDark';
  return classes.includes('vscode-light') ? 'light' : 'dark';
}

/** Resolves the theme; `read` returns the value of a CSS variable, or '' when it is not set. */
export function resolveTheme(kind: ThemeKind, read: (variable: string) => string): Theme {
  const fallback = palettes[kind];
  const contrast = kind === 'highContrastDark' || kind === 'highContrastLight';
  const first = (role: keyof typeof sources): string => {
    const names = (contrast ? contrastSources[role] : undefined) ?? sources[role];
    const found = names.map((name) => read(name).trim()).find((value) => parseColor(value) !== null);
    return found ?? fallback[role];
  };
  const background = first('background');
  const roles = Object.keys(sources) as (keyof typeof sources)[];
  const colors = Object.fromEntries(roles.map((role) => [role, flatten(first(role), background)]));
  return {
    palette: { ...fallback, ...colors, kind },
    uiFont: read('--vscode-font-family').trim() || uiFontFallback,
    codeFont: read('--vscode-editor-font-family').trim() || codeFontFallback,
  };
}

/** A theme that needs no page: for exports, reports and tests. */
export function plainTheme(kind: ThemeKind): Theme {
  return resolveTheme(kind, () => '');
}
