// Made by build.mjs.
declare const __MEETING_CSS__: string;
declare module "emoji:reactions" {
  const drawings: [text: string, svg: string][];
  export default drawings;
}
