import { render, type VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { registerControls } from '../figures/controls.ts';
import { readPageTheme, watchPageTheme } from '../figures/pageTheme.ts';
import '../panel.css';
import { App, type HostApi } from './App.tsx';

declare function acquireVsCodeApi(): HostApi;

const host = acquireVsCodeApi();
const root = document.body.appendChild(document.createElement('div'));

function Page(): VNode {
  const [theme, setTheme] = useState(readPageTheme);
  const [width, setWidth] = useState(root.clientWidth);
  useEffect(() => {
    watchPageTheme(setTheme);
    const observer = new ResizeObserver(() => setWidth(root.clientWidth));
    observer.observe(root);
    return () => observer.disconnect();
  }, []);
  return <App host={host} theme={theme} width={width} />;
}

registerControls();
render(<Page />, root);
