import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import '../grid/grid.css';
import '../charts/charts.css';
import '../results/results.css';
import './circuit.css';
import { App, type CircuitHost } from './App.tsx';

declare function acquireVsCodeApi(): CircuitHost;

const host = acquireVsCodeApi();

mountPanel((theme, width) => <App host={host} theme={theme} width={width} />);
