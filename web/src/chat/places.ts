// A place on earth out of what people paste: two numbers, a geo: address, or the link of a map.
export interface Point {
  latitude: number;
  longitude: number;
}

const number = "(-?\\d{1,3}(?:\\.\\d+)?)";
const shapes = [
  new RegExp(`^(?:geo:)?${number}\\s*[,; ]\\s*${number}(?:$|[;?,\\s])`), new RegExp(`[?&]mlat=${number}&mlon=${number}`), new RegExp(`[?&](?:q|ll|query|center)=${number}(?:,|%2C)${number}`, "i"),
  new RegExp(`@${number},${number}`), new RegExp(`#map=\\d+(?:\\.\\d+)?/${number}/${number}`),
];

export function pointIn(text: string): Point | null {
  const given = text.trim();
  for (const shape of shapes) {
    const [, lat, lon] = shape.exec(given) ?? [];
    if (lat === undefined || lon === undefined) continue;
    const [latitude, longitude] = [Number(lat), Number(lon)];
    if (Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) return { latitude, longitude };
  }
  return null;
}
