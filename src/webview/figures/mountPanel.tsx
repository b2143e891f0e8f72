import { render, type VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { registerControls } from './controls.ts';
import { readPageTheme, watchPageTheme } from './pageTheme.ts';
import type { Theme } from './theme.ts';

/** Draws a panel into the page, again whenever the theme, its width or the height that is seen of it changes. */
export function mountPanel(draw: (theme: Theme, width: number, height: number) => VNode): void {
  const root = document.body.appendChild(document.createElement('div'));
  function Page(): VNode {
    const [theme, setTheme] = useState(readPageTheme);
    const [width, setWidth] = useState(root.clientWidth);
    const [height, setHeight] = useState(window.innerHeight);
    useEffect(() => {
      watchPageTheme(setTheme);
      window.addEventListener('resize', () => setHeight(window.innerHeight));
      const observer = new ResizeObserver(() => setWidth(root.clientWidth));
      observer.observe(root);
      return () => observer.disconnect();
    }, []);
    return draw(theme, width, height);
  }
  registerControls();
  render(<Page />, root);
}
