import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import './grid.css';
import { App, type GridHost } from './App.tsx';

declare function acquireVsCodeApi(): GridHost;

const host = acquireVsCodeApi();

mountPanel((theme, width) => <App host={host} theme={theme} width={width} />);
