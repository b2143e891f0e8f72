import { h, type VNode } from 'preact';

/** A push button in the look of VS Code. Title Case label. */
export function Button(props: { label: string; primary?: boolean; onClick: () => void }): VNode {
  const appearance = props.primary ? 'primary' : 'secondary';
  return h('vscode-button', { appearance, onClick: props.onClick } as Record<string, unknown>, props.label);
}

/** An action in the flow of text. */
export function LinkButton(props: { label: string; onClick: () => void }): VNode {
  return (
    <button type="button" class="m-link" onClick={props.onClick}>
      {props.label}
    </button>
  );
}
