// The accounts of this server: finding them, making administrators, shutting somebody out, a new password for who forgot.
import { useEffect, useState } from "preact/hooks";
import { ChevronDown, CircleAlert, EllipsisVertical, KeyRound, Search, ShieldCheck, ShieldX, UserCheck, UserX } from "lucide-preact";
import { changeUser, listUsers, resetPassword } from "../app/admin";
import { signedIn } from "../app/api";
import { errorText } from "../app/errors";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, Field, focusProblem, Note, PasswordField } from "../ui/controls";
import { Confirm, Dialog } from "../ui/dialog";
import { Menu, type MenuEntry } from "../ui/menu";
import { toast, toastError } from "../ui/toast";
import { displayName } from "./people-picker";

const typingPauseMs = 250;
const lettersMin = 2;
const passwordMin = 8;

type Asked = { user: Profile; what: "role" | "disable" | "password" } | null;

export function Accounts() {
  const [q, setQ] = useState("");
  const [users, setUsers] = useState<Profile[] | null>(null);
  const [cursor, setCursor] = useState("");
  const [asked, setAsked] = useState<Asked>(null);
  const [isBusy, setBusy] = useState(false);
  const wanted = q.trim();
  const isTooShort = wanted.length > 0 && [...wanted].length < lettersMin;

  useEffect(() => {
    if (isTooShort) return;
    let isStale = false;
    const timer = setTimeout(() => {
      listUsers(wanted).then((page) => {
        if (isStale) return;
        setUsers(page.users ?? []);
        setCursor(page.next_cursor ?? "");
      }, toastError);
    }, users ? typingPauseMs : 0);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [wanted]);

  const more = async () => {
    const page = await listUsers(wanted, cursor);
    setUsers([...(users ?? []), ...(page.users ?? [])]);
    setCursor(page.next_cursor ?? "");
  };
  const change = async (user: Profile, fields: Parameters<typeof changeUser>[1]) => {
    setBusy(true);
    try {
      const changed = await changeUser(user.id, fields);
      setUsers((all) => all && all.map((u) => (u.id === user.id ? { ...u, ...changed } : u)));
      toast(t("saved"), "good");
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
    setAsked(null);
  };
  const ask = (user: Profile, what: "role" | "disable" | "password") => setAsked({ user, what });
  return (
    <div class="form">
      <div class="people-search">
        <Search size={18} aria-hidden="true" />
        <Field label={t("accounts.find")} isLabelHidden placeholder={t("accounts.find")} type="search" value={q} onValue={setQ} />
      </div>
      {users === null ? (
        <div class="skeleton" role="status" aria-label={t("loading")} />
      ) : users.length === 0 ? (
        <p class="meta">{t("accounts.none")}</p>
      ) : (
        <ul class="rows">
          {users.map((u) => (
            <Account key={u.id} user={u} onAsk={ask} onEnable={() => void change(u, { is_disabled: false })} />
          ))}
        </ul>
      )}
      {cursor && (
        <Button kind="quiet" icon={ChevronDown} onClick={() => void more().catch(toastError)}>
          {t("more.show")}
        </Button>
      )}
      {asked?.what === "role" && (
        <Confirm
          title={t(asked.user.role === "admin" ? "accounts.unmakeAdminTitle" : "accounts.makeAdminTitle", { name: displayName(asked.user) })}
          text={t(asked.user.role === "admin" ? "accounts.unmakeAdminText" : "accounts.makeAdminText")}
          action={t(asked.user.role === "admin" ? "accounts.unmakeAdmin" : "accounts.makeAdmin")}
          isBusy={isBusy}
          onConfirm={() => void change(asked.user, { role: asked.user.role === "admin" ? "user" : "admin" })}
          onClose={() => setAsked(null)}
        />
      )}
      {asked?.what === "disable" && (
        <Confirm
          title={t("accounts.disableTitle", { name: displayName(asked.user) })}
          text={t("accounts.disableText")}
          action={t("accounts.disable")}
          isDanger
          isBusy={isBusy}
          onConfirm={() => void change(asked.user, { is_disabled: true })}
          onClose={() => setAsked(null)}
        />
      )}
      {asked?.what === "password" && <NewPassword user={asked.user} onClose={() => setAsked(null)} />}
    </div>
  );
}

interface AccountProps {
  user: Profile;
  onAsk: (user: Profile, what: "role" | "disable" | "password") => void;
  onEnable: () => void;
}

function Account({ user, onAsk, onEnable }: AccountProps) {
  const isSelf = user.id === signedIn.value?.user.id;
  const isAdmin = user.role === "admin";
  const entries = (): MenuEntry[] => [
    {
      text: t(isAdmin ? "accounts.unmakeAdmin" : "accounts.makeAdmin"),
      icon: isAdmin ? ShieldX : ShieldCheck,
      onPick: () => onAsk(user, "role"),
    },
    ...(isSelf ? [] : [{ text: t("accounts.newPassword"), icon: KeyRound, onPick: () => onAsk(user, "password") }]),
    ...(isSelf
      ? []
      : user.is_disabled
        ? [{ text: t("accounts.enable"), icon: UserCheck, onPick: onEnable }]
        : [{ text: t("accounts.disable"), icon: UserX, isDanger: true, onPick: () => onAsk(user, "disable") }]),
  ];
  return (
    <li class="row-item">
      <Avatar name={displayName(user)} url={user.avatar_url} size={36} />
      <span class="grow">
        {displayName(user)}
        <span class="meta block">
          @{user.username}
          {user.email && ` · ${user.email}`}
        </span>
      </span>
      {user.is_disabled && <span class="badge badge-bad">{t("accounts.disabled")}</span>}
      {isAdmin && <span class="badge badge-accent">{t("accounts.admin")}</span>}
      <Menu label={t("accounts.more", { name: displayName(user) })} entries={entries}>
        <EllipsisVertical size={20} aria-hidden="true" />
      </Menu>
    </li>
  );
}

function NewPassword({ user, onClose }: { user: Profile; onClose: () => void }) {
  const [password, setPassword] = useState("");
  const [problems, setProblems] = useState<{ password?: string; form?: string }>({});
  const [isBusy, setBusy] = useState(false);
  const save = async (e: Event) => {
    e.preventDefault();
    if ([...password].length < passwordMin) {
      setProblems({ password: t("register.badPassword", { min: passwordMin }) });
      return focusProblem(e.currentTarget);
    }
    setBusy(true);
    try {
      await resetPassword(user.id, password);
      toast(t("accounts.passwordSet", { name: displayName(user) }), "good");
      onClose();
    } catch (error) {
      setProblems({ form: errorText(error) });
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t("accounts.newPasswordOf", { name: displayName(user) })}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("cancel")}</Button>
          <Button kind="primary" type="submit" form="new-password" isBusy={isBusy}>
            {t("save")}
          </Button>
        </>
      }
    >
      <form id="new-password" class="form" onSubmit={(e) => void save(e)} noValidate>
        {problems.form && (
          <Note kind="bad" icon={CircleAlert} role="alert">
            {problems.form}
          </Note>
        )}
        <p class="dialog-text">{t("accounts.newPasswordText")}</p>
        <PasswordField
          label={t("passwordChange.next")}
          value={password}
          onValue={setPassword}
          error={problems.password}
          hint={t("register.passwordHint", { min: passwordMin })}
          autocomplete="new-password"
          maxLength={128}
        />
      </form>
    </Dialog>
  );
}
