// Bringing others into a meeting: its link, invitations of accounts, and links of their own that can be taken back.
import { useEffect, useState } from "preact/hooks";
import { CalendarDays, Copy, Link2, Trash2, UserPlus } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { dateTimeText } from "../app/dates";
import { invite, listInvitations, meetingLink, revokeInvitation, saveCalendar } from "../app/meetings";
import type { Meeting, MeetingInvitation, Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, IconButton } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";
import { PeoplePicker } from "./people-picker";

function invitationLink(meeting: Meeting, invitation: MeetingInvitation): string {
  const link = invitation.url || `/m/${meeting.code}?i=${encodeURIComponent(invitation.token)}`;
  return new URL(link, location.origin).href; // a server that was not told its address gives the path alone
}

export function ShareDialog({ meeting, onClose }: { meeting: Meeting; onClose: () => void }) {
  const [people, setPeople] = useState<Profile[]>([]);
  const [invitations, setInvitations] = useState<MeetingInvitation[]>([]);
  const [isBusy, setBusy] = useState(false);
  const isHost = meeting.my_role === "host" || meeting.my_role === "co_host";

  useEffect(() => {
    if (isHost) listInvitations(meeting.id).then(setInvitations, toastError);
  }, [meeting.id]);

  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const invitePeople = () =>
    attempt(async () => {
      for (const person of people) {
        const made = await invite(meeting.id, { user_id: person.id });
        setInvitations((all) => [...all.filter((i) => i.id !== made.id), made]);
      }
      toast(t("share.invited", { count: people.length }), "good");
      setPeople([]);
    });
  const makeLink = () =>
    attempt(async () => {
      const made = await invite(meeting.id, {});
      setInvitations((all) => [...all, made]);
      await copyText(invitationLink(meeting, made), t("share.linkMade"));
    });
  const revoke = (invitation: MeetingInvitation) =>
    attempt(async () => {
      await revokeInvitation(meeting.id, invitation.id);
      setInvitations((all) => all.filter((i) => i.id !== invitation.id));
    });

  return (
    <Dialog title={t("share.title")} onClose={onClose} isWide>
      <div class="form">
        <div class="link-box">
          <Link2 size={18} aria-hidden="true" />
          <span class="link-text">{meetingLink(meeting.code)}</span>
          <Button icon={Copy} onClick={() => void copyText(meetingLink(meeting.code), t("link.copied"))}>
            {t("copy")}
          </Button>
        </div>
        {meeting.scheduled_start_ms > 0 && (
          <div>
            <Button icon={CalendarDays} onClick={() => void saveCalendar(meeting).catch(toastError)}>
              {t("share.calendar")}
            </Button>
          </div>
        )}
        {isHost && (
          <>
            <PeoplePicker label={t("share.people")} people={people} onPeople={setPeople} />
            <div class="btn-row">
              <Button kind="primary" icon={UserPlus} disabled={!people.length} isBusy={isBusy} onClick={() => void invitePeople()}>
                {t("share.invite")}
              </Button>
              <Button icon={Link2} disabled={isBusy} onClick={() => void makeLink()}>
                {t("share.makeLink")}
              </Button>
            </div>
            {invitations.length > 0 && (
              <section>
                <h3 class="field-label">{t("share.invitations")}</h3>
                <ul class="rows">
                  {invitations.map((i) => (
                    <li key={i.id} class="row-item">
                      {i.user_id ? <Avatar name={i.user_name} size={28} /> : <Link2 size={18} aria-hidden="true" />}
                      <span class="grow">
                        {i.user_id ? i.user_name : t("share.linkUses", { count: i.uses_count })}
                        <span class="meta block">
                          {i.expires_at_ms ? t("share.until", { date: dateTimeText(i.expires_at_ms) }) : dateTimeText(i.created_at_ms)}
                        </span>
                      </span>
                      {i.token && (
                        <IconButton
                          icon={Copy}
                          label={t("copy")}
                          onClick={() => void copyText(invitationLink(meeting, i), t("link.copied"))}
                        />
                      )}
                      <IconButton icon={Trash2} label={t("share.revoke")} onClick={() => void revoke(i)} />
                    </li>
                  ))}
                </ul>
              </section>
            )}
          </>
        )}
      </div>
    </Dialog>
  );
}
