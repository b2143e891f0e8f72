import { resolveTheme, type Theme, themeKind } from './theme.ts';

const forced = '(forced-colors: active)';

/** The theme that the page has now. */
export function readPageTheme(): Theme {
  const styles = getComputedStyle(document.documentElement);
  const forcedDark = matchMedia(forced).matches ? matchMedia('(prefers-color-scheme: dark)').matches : null;
  const kind = themeKind([...document.body.classList], forcedDark);
  // Under forced colours VS Code's variables do not describe what is drawn; our high-contrast palettes do.
  return resolveTheme(kind, (name) => (forcedDark === null ? styles.getPropertyValue(name) : ''));
}

/** Calls `onChange` when VS Code changes its theme (it swaps classes and variables) or the system its forced colours. */
export function watchPageTheme(onChange: (theme: Theme) => void): void {
  const changed = (): void => onChange(readPageTheme());
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  observer.observe(document.body, { attributes: true, attributeFilter: ['style', 'class'] });
  matchMedia(forced).addEventListener('change', changed);
}
