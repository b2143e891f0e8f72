import { h, type VNode } from 'preact';

/** A push button in the look of VS Code. Title Case label. */
export function Button(props: { label: string; primary?: boolean; onClick: () => void }): VNode {
  const appearance = props.primary ? 'primary' : 'secondary';
  return h('vscode-button', { appearance, onClick: props.onClick } as Record<string, unknown>, props.label);
}

/** An action in the flow of text. `title`: what it does, where the label alone does not say. */
export function LinkButton(props: { label: string; title?: string; onClick: () => void }): VNode {
  const { title } = props;
  return (
    <button type="button" class="m-link" title={title} aria-label={title} onClick={props.onClick}>
      {props.label}
    </button>
  );
}
