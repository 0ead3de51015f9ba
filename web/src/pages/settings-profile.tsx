// Name, picture and the rest of what others see of one.
import { useRef, useState } from "preact/hooks";
import { CircleAlert, Trash2, Upload } from "lucide-preact";
import { putAvatar, squarePicture, updateProfile } from "../app/account";
import { signedIn } from "../app/api";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { Avatar } from "../ui/avatar";
import { Button, Field, focusProblem, Note, TextArea } from "../ui/controls";
import { toast, toastError } from "../ui/toast";

interface Problems {
  nickname?: string;
  email?: string;
  form?: string;
}

function Picture() {
  const user = signedIn.value?.user;
  const input = useRef<HTMLInputElement>(null);
  const [isBusy, setBusy] = useState(false);
  if (!user) return null;

  const change = async (work: () => Promise<void>) => {
    setBusy(true);
    try {
      await work();
      toast(t("profile.pictureChanged"), "good");
    } catch (error) {
      // A file that is no picture is refused by the browser itself, in words for programmers.
      if (error instanceof DOMException) toast(t("profile.badPicture"), "bad");
      else toastError(error);
    }
    setBusy(false);
  };
  const upload = (file: File | undefined) => {
    if (file) void change(async () => putAvatar(await squarePicture(file)));
  };
  return (
    <div class="profile-picture">
      <Avatar name={user.nickname || user.username} url={user.avatar_url} size={72} />
      <div>
        <p class="profile-name">{user.nickname || user.username}</p>
        <p class="meta">@{user.username}</p>
      </div>
      <div class="btn-row">
        <input
          ref={input}
          type="file"
          hidden
          accept="image/png,image/jpeg,image/webp"
          aria-label={t("profile.changePicture")}
          onChange={(e) => {
            upload(e.currentTarget.files?.[0]);
            e.currentTarget.value = "";
          }}
        />
        <Button icon={Upload} isBusy={isBusy} onClick={() => input.current?.click()}>
          {t(user.avatar_url ? "profile.changePicture" : "profile.addPicture")}
        </Button>
        {user.avatar_url && (
          <Button icon={Trash2} disabled={isBusy} onClick={() => void change(() => updateProfile({ avatar_url: "" }))}>
            {t("profile.removePicture")}
          </Button>
        )}
      </div>
    </div>
  );
}

export function ProfileForm() {
  const user = signedIn.value?.user;
  const [nickname, setNickname] = useState(user?.nickname ?? "");
  const [email, setEmail] = useState(user?.email ?? "");
  const [phone, setPhone] = useState(user?.phone ?? "");
  const [description, setDescription] = useState(user?.description ?? "");
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);
  if (!user) return null;

  const fields = { nickname: nickname.trim(), email: email.trim(), phone: phone.trim(), description: description.trim() };
  const isChanged = (Object.keys(fields) as (keyof typeof fields)[]).some((k) => fields[k] !== user[k]);
  const save = async (e: Event) => {
    e.preventDefault();
    const found: Problems = {};
    if (!fields.nickname) found.nickname = t("profile.nameMissing");
    if (fields.email && !/^[^\s@]+@[^\s@]+$/.test(fields.email)) found.email = t("register.badEmail");
    setProblems(found);
    if (Object.keys(found).length) return focusProblem(e.currentTarget);
    setBusy(true);
    try {
      await updateProfile(fields);
      toast(t("saved"), "good");
    } catch (error) {
      setProblems({ form: errorText(error) });
    }
    setBusy(false);
  };
  return (
    <>
      <Picture />
      <form class="form" onSubmit={(e) => void save(e)} noValidate>
        {problems.form && (
          <Note kind="bad" icon={CircleAlert} role="alert">
            {problems.form}
          </Note>
        )}
        <Field
          label={t("register.nickname")}
          hint={t("profile.nameHint")}
          value={nickname}
          onValue={setNickname}
          error={problems.nickname}
          autocomplete="name"
          maxLength={64}
          required
        />
        <div class="form-pair">
          <Field
            label={t("profile.email")}
            value={email}
            onValue={setEmail}
            error={problems.email}
            type="email"
            autocomplete="email"
            maxLength={254}
          />
          <Field
            label={t("profile.phone")}
            value={phone}
            onValue={setPhone}
            type="tel"
            autocomplete="tel"
            placeholder="+49 170 1234567"
            maxLength={32}
          />
        </div>
        <TextArea label={t("profile.about")} value={description} onValue={setDescription} maxLength={1000} rows={3} />
        <div class="form-end">
          <Button kind="primary" type="submit" isBusy={isBusy} disabled={!isChanged}>
            {t("save")}
          </Button>
        </div>
      </form>
    </>
  );
}
