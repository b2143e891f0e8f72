import { mountPanel } from '../figures/mountPanel.tsx';
import '../panel.css';
import { App, type TraceHost } from './App.tsx';

declare function acquireVsCodeApi(): TraceHost;

const host = acquireVsCodeApi();

mountPanel((theme, width, height) => <App host={host} theme={theme} width={width} height={height} />);
