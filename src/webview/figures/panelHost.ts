import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** What VS Code gives a webview. */
export interface PanelHost<Message, View> {
  postMessage(message: Message | { readonly type: 'ready' }): void;
  getState(): unknown;
  setState(view: View): void;
}

/** How a panel's view follows the states that its host sends. */
export interface PanelRules<State, View> {
  /** Shown until the host has sent something. */
  readonly empty: State;
  /** The view that was kept, from whatever `getState` gives. */
  readonly restore: (kept: unknown) => View;
  /** The view for a new state; `before` is null the first time. */
  readonly adopt: (view: View, before: State | null, state: State) => View;
  /** The view after the person changed something. Default: as it is. */
  readonly settle?: (view: View, state: State) => View;
}

interface PanelView<State, View> {
  readonly state: State;
  readonly view: View;
}

export interface Panel<State, View> extends PanelView<State, View> {
  /** The same, for handlers that outlive a drawing. */
  readonly latest: RefObject<PanelView<State, View>>;
  readonly setView: (change: Partial<View>) => void;
}

/** Host state and the person's view, kept together so that one message changes both at once. */
export function usePanel<State, View extends object>(
  host: PanelHost<never, View>,
  { empty, restore, adopt, settle = (view) => view }: PanelRules<State, View>,
): Panel<State, View> {
  const [all, setAll] = useState<PanelView<State, View>>(() => ({ state: empty, view: restore(host.getState()) }));
  const latest = useRef(all);
  const put = (next: PanelView<State, View>): void => {
    latest.current = next;
    host.setState(next.view);
    setAll(next);
  };
  useEffect(() => {
    const onMessage = ({ data }: MessageEvent<{ type: 'state'; state: State } | undefined>): void => {
      if (data?.type !== 'state') return;
      const { state, view } = latest.current;
      put({ state: data.state, view: adopt(view, state === empty ? null : state, data.state) });
    };
    window.addEventListener('message', onMessage);
    host.postMessage({ type: 'ready' });
    return () => window.removeEventListener('message', onMessage);
  }, []);
  const setView = (change: Partial<View>): void => {
    const { state, view } = latest.current;
    put({ state, view: settle({ ...view, ...change }, state) });
  };
  return { ...all, latest, setView };
}

/** Scrolls to where the person was, once there is something to scroll, and keeps the place. */
export function useKeptScroll<State, View extends { readonly scroll: number }>(
  panel: Panel<State, View>,
  ready: boolean,
): void {
  useEffect(() => {
    if (!ready) return;
    window.scrollTo(0, panel.latest.current.view.scroll);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onScroll = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => panel.setView({ scroll: window.scrollY } as Partial<View>), 200);
    };
    window.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      clearTimeout(timer);
      window.removeEventListener('scroll', onScroll);
    };
  }, [ready]);
}
