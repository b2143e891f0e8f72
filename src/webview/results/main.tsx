import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import '../charts/charts.css';
import './results.css';
import '../coupling/coupling.css';
import '../tree/tree.css';
import { App, type FiguresHost } from './App.tsx';

declare function acquireVsCodeApi(): FiguresHost;

const host = acquireVsCodeApi();

mountPanel((theme, width) => <App host={host} theme={theme} width={width} />);
