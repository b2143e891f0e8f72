import { provideVSCodeDesignSystem, vsCodeButton } from '@vscode/webview-ui-toolkit';

/**
 * Registers the toolkit's custom elements. The only module that imports the toolkit: views write `vscode-button` (by way
 * of `Button`) and stay renderable without a page.
 */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(vsCodeButton());
}
