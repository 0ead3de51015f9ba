// The meetings whose media this server forwards now, and how well: read anew every five seconds.
import { useEffect, useState } from "preact/hooks";
import { readStats } from "../app/admin";
import { getMeeting } from "../app/meetings";
import { errorText } from "../app/errors";
import type { PeerStats, RoomStats } from "../app/types";
import { locale, t } from "../i18n/i18n";
import { rateText } from "../ui/figures";

const everyMs = 5_000;
const titles = new Map<string, string>();

const sumOf = (peers: PeerStats[], of: (p: PeerStats) => number) => peers.reduce((sum, p) => sum + of(p), 0);
const mostOf = (peers: PeerStats[], of: (p: PeerStats) => number) => Math.max(0, ...peers.map(of));

function percent(fraction: number): string {
  return new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(fraction);
}

async function withTitles(rooms: RoomStats[]): Promise<RoomStats[]> {
  const unknown = rooms.map((r) => r.meeting_id).filter((id) => !titles.has(id));
  await Promise.all(
    unknown.map((id) =>
      getMeeting(id).then(
        (m) => titles.set(id, m.title),
        () => titles.set(id, id),
      ),
    ),
  );
  return rooms;
}

export function MediaNow() {
  const [rooms, setRooms] = useState<RoomStats[] | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const read = () =>
      document.visibilityState === "visible" &&
      void readStats()
        .then(withTitles)
        .then(
          (all) => {
            setRooms(all);
            setProblem("");
          },
          (error: unknown) => setProblem(errorText(error)),
        );
    read();
    const timer = setInterval(read, everyMs);
    return () => clearInterval(timer);
  }, []);
  if (problem) return <p class="meta">{problem}</p>;
  if (!rooms) return <div class="skeleton" role="status" aria-label={t("loading")} />;
  if (!rooms.length) return <p class="meta">{t("mediaNow.none")}</p>;
  return (
    <div class="table-box" role="region" aria-label={t("mediaNow.table")} tabIndex={0}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{t("mediaNow.meeting")}</th>
            <th scope="col">{t("mediaNow.peers")}</th>
            <th scope="col">{t("mediaNow.in")}</th>
            <th scope="col">{t("mediaNow.out")}</th>
            <th scope="col">{t("mediaNow.loss")}</th>
            <th scope="col">{t("mediaNow.roundTrip")}</th>
          </tr>
        </thead>
        <tbody>
          {rooms.map(({ meeting_id, peers = [] }) => (
            <tr key={meeting_id}>
              <th scope="row">{titles.get(meeting_id)}</th>
              <td>{peers.length}</td>
              <td>{rateText(sumOf(peers, (p) => p.bitrate_in_bps))}</td>
              <td>{rateText(sumOf(peers, (p) => p.bitrate_out_bps))}</td>
              <td>{percent(mostOf(peers, (p) => p.loss_out))}</td>
              <td>{Math.round(mostOf(peers, (p) => p.round_trip_ms))} ms</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
