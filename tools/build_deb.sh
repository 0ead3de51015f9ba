#!/bin/bash
# Makes parlance_VERSION_ARCH.deb of a finished build.   usage: tools/build_deb.sh BUILD_DIR OUT_DIR
set -eu
cd "$(dirname "$0")/.."
build=$1 out=$2
binary=$build/src/parlance
version=$("$binary" version | sed -n '1s/^parlance \([0-9][0-9.]*\).*/\1/p')
architecture=$(dpkg --print-architecture)
# The same sources make the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
doc=$root/usr/share/doc/parlance

install -D -m 755 "$binary" "$root/usr/bin/parlance"
strip --strip-unneeded --remove-section=.comment "$root/usr/bin/parlance"
install -D -m 644 -t "$root/lib/systemd/system" deploy/systemd/*.service
install -D -m 644 deploy/debian/parlance.yaml "$root/etc/parlance/parlance.yaml"
install -D -m 644 -t "$doc" README.md
install -D -m 644 -t "$doc/docs" docs/*.md
install -D -m 644 deploy/debian/copyright "$doc/copyright"
install -D -m 644 -t "$doc/examples" deploy/nginx/*
{
    printf 'parlance (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n' "$version"
    printf ' -- Parlance <packages@parlance.example>  %s\n' "$(date -uR -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n > "$doc/changelog.gz"
gzip -9n < CHANGELOG.md > "$doc/CHANGELOG.md.gz"
chmod 644 "$doc"/*.gz
mkdir -p "$root/usr/share/man/man1"
gzip -9n < deploy/debian/parlance.1 > "$root/usr/share/man/man1/parlance.1.gz"
chmod 644 "$root/usr/share/man/man1/parlance.1.gz"

# What it is linked with, and what it loads when the first file of somebody comes.
mkdir -p "$work/debian"
printf 'Source: parlance\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O --ignore-missing-info "$root/usr/bin/parlance" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "build_deb: dpkg-shlibdeps named no library" >&2; exit 1; }
recommends=$(strings "$binary" | grep -E '^lib[a-z0-9_-]+\.so\.[0-9]+$' | sort -u | while read -r name; do
    path=$(ldconfig -p | sed -n "s|.*\s$name (.*) => \(.*\)|\1|p" | head -1)
    [ -z "$path" ] || dpkg -S "$(readlink -f "$path")" 2>/dev/null | cut -d: -f1 | head -1
done | sort -u | while read -r package; do
    case " $depends" in *" $package "* | *" $package,"*) ;; *) echo "$package" ;; esac
done | paste -sd, | sed 's/,/, /g')

mkdir -p "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$(du -sk "$root" | cut -f1)/" \
    -e "s/@DEPENDS@/$depends/" -e "s/@RECOMMENDS@/$recommends/" deploy/debian/control.in |
    sed '/^Recommends: $/d' > "$root/DEBIAN/control"
printf '/etc/parlance/parlance.yaml\n' > "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "deploy/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr lib -type f | sort | xargs md5sum) > "$root/DEBIAN/md5sums"
mkdir -p "$out"
package=$out/parlance_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
