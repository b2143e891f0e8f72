import * as vscode from 'vscode';
import type { ThemeKind } from '../shared/palette.ts';

/** The kind of the active colour theme, as our palettes name it. */
export function themeKind(): ThemeKind {
  switch (vscode.window.activeColorTheme.kind) {
    case vscode.ColorThemeKind.Light:
      return 'light';
    case vscode.ColorThemeKind.Dark:
      return 'dark';
    case vscode.ColorThemeKind.HighContrast:
      return 'highContrastDark';
    case vscode.ColorThemeKind.HighContrastLight:
      return 'highContrastLight';
  }
}

export function isHighContrastTheme(): boolean {
  return themeKind().startsWith('highContrast');
}
