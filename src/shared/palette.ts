/** Which family of themes a figure is drawn for. */
export type ThemeKind = 'dark' | 'light' | 'highContrastDark' | 'highContrastLight';

/** Every colour a figure may use, as CSS colours that need no document to be resolved (`#rrggbb` or `rgb()`). */
export interface Palette {
  readonly kind: ThemeKind;
  readonly background: string;
  readonly foreground: string;
  readonly secondary: string;
  /** Line between sections, line in tables, line for reading a value off. */
  readonly rule: string;
  readonly tableRule: string;
  readonly grid: string;
  readonly focus: string;
  readonly link: string;
  readonly selection: string;
  readonly selectionText: string;
  readonly hover: string;
  readonly hoverBorder: string;
  readonly hoverText: string;
  readonly warning: string;
  readonly error: string;
  readonly progress: string;
  /** Blue is positive, orange is negative: these two hues mean sign and nothing else. */
  readonly positive: string;
  readonly negative: string;
  /** Groups, roles and methods; always with a shape or a label as well. */
  readonly category1: string;
  readonly category2: string;
  /** End colour of unsigned magnitude (attention). */
  readonly sequential: string;
}

const dark: Palette = {
  kind: 'dark',
  background: '#1f1f1f',
  foreground: '#cccccc',
  secondary: '#9d9d9d',
  rule: '#2b2b2b',
  tableRule: '#313131',
  grid: '#404040',
  focus: '#0078d4',
  link: '#4daafc',
  selection: '#37373d',
  selectionText: '#cccccc',
  hover: '#202020',
  hoverBorder: '#454545',
  hoverText: '#cccccc',
  warning: '#cca700',
  error: '#f85149',
  progress: '#0078d4',
  positive: '#3b97f5',
  negative: '#e88a24',
  category1: '#d9b8f5',
  category2: '#fdca36',
  sequential: '#4ec9c4',
};

const light: Palette = {
  kind: 'light',
  background: '#ffffff',
  foreground: '#3b3b3b',
  secondary: '#616161',
  rule: '#e5e5e5',
  tableRule: '#e5e5e5',
  grid: '#d3d3d3',
  focus: '#005fb8',
  link: '#005fb8',
  selection: '#e4e6f1',
  selectionText: '#3b3b3b',
  hover: '#f8f8f8',
  hoverBorder: '#c8c8c8',
  hoverText: '#3b3b3b',
  warning: '#bf8803',
  error: '#f85149',
  progress: '#005fb8',
  positive: '#1f78d1',
  negative: '#c77700',
  category1: '#4633ab',
  category2: '#6c4303',
  sequential: '#00767a',
};

const highContrastDark: Palette = {
  kind: 'highContrastDark',
  background: '#000000',
  foreground: '#ffffff',
  secondary: '#ffffff',
  rule: '#6fc3df',
  tableRule: '#6fc3df',
  grid: '#6fc3df',
  focus: '#f38518',
  link: '#21a6ff',
  selection: '#000000',
  selectionText: '#ffffff',
  hover: '#000000',
  hoverBorder: '#6fc3df',
  hoverText: '#ffffff',
  warning: '#ffd370',
  error: '#f48771',
  progress: '#6fc3df',
  positive: '#ffffff',
  negative: '#ffffff',
  category1: '#ffffff',
  category2: '#ffffff',
  sequential: '#ffffff',
};

const highContrastLight: Palette = {
  kind: 'highContrastLight',
  background: '#ffffff',
  foreground: '#292929',
  secondary: '#292929',
  rule: '#0f4a85',
  tableRule: '#0f4a85',
  grid: '#0f4a85',
  focus: '#006bbd',
  link: '#0f4a85',
  selection: '#ffffff',
  selectionText: '#292929',
  hover: '#ffffff',
  hoverBorder: '#0f4a85',
  hoverText: '#292929',
  warning: '#895503',
  error: '#b5200d',
  progress: '#006bbd',
  positive: '#292929',
  negative: '#292929',
  category1: '#292929',
  category2: '#292929',
  sequential: '#292929',
};

/** VS Code's default themes (Dark Modern, Light Modern, the two high-contrast ones) with our own data colours. */
export const palettes: Readonly<Record<ThemeKind, Palette>> = { dark, light, highContrastDark, highContrastLight };

/** True where sign is an underline and a printed number, never a fill. */
export function isHighContrast(palette: Palette): boolean {
  return palette.kind === 'highContrastDark' || palette.kind === 'highContrastLight';
}
