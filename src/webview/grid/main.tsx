import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import './grid.css';
import { App, type GridHostApi } from './App.tsx';

declare function acquireVsCodeApi(): GridHostApi;

const host = acquireVsCodeApi();

mountPanel((theme, width) => <App host={host} theme={theme} width={width} />);
