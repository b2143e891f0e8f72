import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface MenuItem {
  readonly id: string;
  readonly label: string;
  /** Undefined: an ordinary item; else a switch that is on or off. */
  readonly checked?: boolean;
}

/** Next index for a key in a list of `n`; null when the key is not for a list. */
export function listKey(key: string, at: number, n: number): number | null {
  if (n === 0) return null;
  if (key === 'ArrowDown') return (at + 1) % n;
  if (key === 'ArrowUp') return (at + n - 1) % n;
  if (key === 'Home') return 0;
  if (key === 'End') return n - 1;
  return null;
}

interface MenuProps {
  readonly label: string;
  readonly items: readonly MenuItem[];
  readonly onPick: (id: string) => void;
  readonly onClose: () => void;
  readonly at?: { readonly x: number; readonly y: number };
}

/** An open menu. Focus goes to its first item; Escape, Tab or a click elsewhere closes it. */
export function MenuList({ label, items, onPick, onClose, at }: MenuProps): VNode {
  const list = useRef<HTMLDivElement>(null);
  const focusItem = (i: number): void => {
    const buttons = list.current?.querySelectorAll<HTMLButtonElement>('button');
    buttons?.[i]?.focus();
  };
  useEffect(() => {
    focusItem(0);
    const outside = (event: Event): void => {
      if (event.target instanceof Node && !list.current?.contains(event.target)) onClose();
    };
    document.addEventListener('pointerdown', outside, true);
    return () => document.removeEventListener('pointerdown', outside, true);
  }, []);
  const onKeyDown = (event: KeyboardEvent): void => {
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const next = listKey(event.key, buttons.indexOf(event.target as HTMLButtonElement), buttons.length);
    if (next !== null) focusItem(next);
    else if (event.key === 'Escape' || event.key === 'Tab') onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={list}
      class="m-menu"
      role="menu"
      tabIndex={-1}
      aria-label={label}
      onKeyDown={onKeyDown}
      style={at ? { left: `${at.x}px`, top: `${at.y}px`, right: 'auto' } : {}}
    >
      {items.map((item) => (
        <button
          key={item.id}
          type="button"
          {...(item.checked === undefined
            ? { role: 'menuitem' }
            : { role: 'menuitemcheckbox', 'aria-checked': item.checked })}
          tabIndex={-1}
          onClick={() => {
            onClose();
            onPick(item.id);
          }}
        >
          <span class={`codicon ${item.checked ? 'codicon-check' : 'codicon-blank'}`} aria-hidden="true" />
          {item.label}
        </button>
      ))}
    </div>
  );
}

interface MenuButtonProps {
  readonly label: string;
  readonly icon: string;
  readonly items: readonly MenuItem[];
  readonly onPick: (id: string) => void;
}

/** A button that opens a menu under it; focus returns to the button. */
export function MenuButton({ label, icon, items, onPick }: MenuButtonProps): VNode {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div class="m-menu-host">
      <button
        ref={button}
        type="button"
        class="m-switch"
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <span class={`codicon codicon-${icon}`} aria-hidden="true" />
        {label}
      </button>
      {open ? <MenuList label={label} items={items} onPick={onPick} onClose={close} /> : null}
    </div>
  );
}
