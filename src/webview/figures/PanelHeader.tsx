import type { ComponentChildren, VNode } from 'preact';
import { MenuButton, type MenuItem } from './Menu.tsx';

export interface Choice<T extends string> {
  readonly id: T;
  readonly label: string;
}

/** One of a few, all visible. Native radio buttons. */
export function Segmented<T extends string>(props: {
  label: string;
  choices: readonly Choice<T>[];
  value: T;
  onChange: (value: T) => void;
}): VNode {
  return (
    <fieldset class="m-segmented">
      <legend class="m-hidden">{props.label}</legend>
      {props.choices.map(({ id, label }) => (
        <label key={id} class={id === props.value ? 'm-on' : ''}>
          <input
            type="radio"
            name={props.label}
            value={id}
            checked={id === props.value}
            onChange={() => props.onChange(id)}
          />
          {label}
        </label>
      ))}
    </fieldset>
  );
}

/** A switch with an icon: on or off. */
function Switch(props: { label: string; icon: string; on: boolean; onChange: (on: boolean) => void }): VNode {
  return (
    <button type="button" class="m-switch" aria-pressed={props.on} onClick={() => props.onChange(!props.on)}>
      <span class={`codicon codicon-${props.icon}`} aria-hidden="true" />
      {props.label}
    </button>
  );
}

interface HeaderProps {
  /** The finding. */
  readonly title: string;
  /** Metric and position · n · ablation · model · #hash. */
  readonly subtitle: string;
  readonly modes?: ComponentChildren;
  /** Null: there is nothing that numbers could be printed in. */
  readonly numbers: boolean | null;
  readonly table: boolean;
  readonly exports: readonly MenuItem[];
  readonly onNumbers: (on: boolean) => void;
  readonly onTable: (on: boolean) => void;
  readonly onExport: (id: string) => void;
}

/** Title, subtitle, switches. Under 600 px the switches become one menu. */
export function PanelHeader(props: HeaderProps): VNode {
  const pick = (id: string): void => {
    if (id === 'numbers') props.onNumbers(!props.numbers);
    else if (id === 'table') props.onTable(!props.table);
    else props.onExport(id);
  };
  return (
    <header class="m-header">
      <h1>{props.title}</h1>
      <div class="m-switches">
        {props.modes}
        <div class="m-wide-only">
          {props.numbers === null ? null : (
            <Switch label="Numbers" icon="symbol-numeric" on={props.numbers} onChange={props.onNumbers} />
          )}
          <Switch label="Table" icon="table" on={props.table} onChange={props.onTable} />
          <MenuButton label="Export" icon="export" items={props.exports} onPick={props.onExport} />
        </div>
        <div class="m-narrow-only">
          <MenuButton
            label="More"
            icon="ellipsis"
            items={[
              ...(props.numbers === null ? [] : [{ id: 'numbers', label: 'Numbers', checked: props.numbers }]),
              { id: 'table', label: 'Table', checked: props.table },
              ...props.exports,
            ]}
            onPick={pick}
          />
        </div>
      </div>
      <p class="m-subtitle">{props.subtitle}</p>
    </header>
  );
}
