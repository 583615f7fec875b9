export { historySvg, type Picture } from './history-svg.ts';
export { rotationsOf, type Rotation } from './rotations.ts';
