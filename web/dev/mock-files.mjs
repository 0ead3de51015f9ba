// The mock's files: uploads by tus that are counted and not kept, and drawn pictures in their place.
import { scene } from "./mock-scene.mjs";

const uploads = new Map();
const row = (method, pattern, handle) => [method, new RegExp(`^/api/v1${pattern}$`), handle];
const id = "([^/]+)";
const answer = (status, headers = {}) => ({ status, headers, bytes: "" });

// A landscape whose colours follow from the name.
function drawing(name, width, height) {
  const hue = [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 360, 7);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
    <defs><linearGradient id="g" x2="0" y2="1"><stop stop-color="hsl(${hue} 70% 78%)"/><stop offset="1" stop-color="hsl(${hue + 40} 60% 60%)"/></linearGradient></defs>
    <rect width="100%" height="100%" fill="url(#g)"/><circle cx="${width * 0.72}" cy="${height * 0.3}" r="${height * 0.12}" fill="#fff8e1"/>
    <path d="M0 ${height} L${width * 0.3} ${height * 0.45} L${width * 0.5} ${height * 0.7} L${width * 0.7} ${height * 0.5} L${width} ${height} Z" fill="hsl(${hue + 80} 35% 38%)"/></svg>`;
}

const picture = ({ params }) => ({ bytes: drawing(params.at(-1), 1200, 800), headers: { "Content-Type": "image/svg+xml" } });

export const fileRoutes = [
  row("POST", "/files/uploads", ({ headers }) => {
    const made = `f${uploads.size + 1}`;
    uploads.set(made, { size: Number(headers["upload-length"]), offset: 0, name: headers["upload-metadata"] });
    return answer(201, { Location: `/api/v1/files/uploads/${made}` });
  }),
  row("HEAD", `/files/uploads/${id}`, ({ params }) => answer(200, { "Upload-Offset": String(uploads.get(params[0]).offset) })),
  row("DELETE", `/files/uploads/${id}`, () => answer(204)),
  row("PATCH", `/files/uploads/${id}`, ({ params, size }) => {
    if (scene.isUploadStuck) return answer(503);
    const upload = uploads.get(params[0]);
    upload.offset += size;
    return answer(204, { "Upload-Offset": String(upload.offset) });
  }),
  row("GET", `/files/${id}/info`, ({ params }) => ({
    body: { id: params[0], state: "ready", name: "x", content_type: "image/png", kind: "image", size: uploads.get(params[0])?.size ?? 0, width: 1200, height: 800, duration_ms: 0, has_thumbnail: true },
  })),
  row("GET", `/conversations/${id}/files/${id}/thumbnail`, picture),
  row("GET", `/conversations/${id}/files/${id}`, picture),
];
