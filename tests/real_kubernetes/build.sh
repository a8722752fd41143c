#!/bin/sh
# Build a real Kubernetes from Debian 12's packages, into the folder that is named; nothing to do where it is there.
# Debian ships no API server, but the source of its kubectl is all of Kubernetes 1.20.2, and it has etcd and Go.
# Nothing is installed. It takes some fifteen minutes on two cores, and 4 GB under that folder until it is done.
set -eu
to=$1
[ -x "$to/kube-controller-manager" ] && exit 0
for program in apt-get dpkg dpkg-source; do
  command -v "$program" >/dev/null || { echo "$program not found: this builds on Debian 12 only" >&2; exit 1; }
done
mkdir -p "$to"
to=$(cd "$to" && pwd)
work=$to/build
mkdir -p "$work/lists/partial" "$work/root" "$work/bin"
cd "$work"

# The sources of where the machine's own packages come from, and lists of our own.
sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1 |
  sed 's|.*|deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] & bookworm main|' > sources.list
apt="-qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists"
apt-get $apt update
apt-get $apt source --download-only kubernetes=1.20.5+really1.20.2-1.1+deb12u1
apt-get -qq download etcd-server golang-1.19-go golang-1.19-src
for package in ./*.deb; do dpkg -x "$package" root; done
rm -rf kubernetes && dpkg-source --no-check -x ./*.dsc kubernetes > dpkg-source.log

mkdir -p go path/src/k8s.io
cp -rL root/usr/lib/go-1.19/. go/ 2>/dev/null || true # some links lead to tests that were not packed
cp -r root/usr/share/go-1.19/. go/ 2>/dev/null || true
ln -sfn "$work/kubernetes" path/src/k8s.io/kubernetes
export GOROOT="$work/go" GOPATH="$work/path" GOCACHE="$work/cache" GOPROXY=off GO111MODULE=off CGO_ENABLED=0
export PATH="$GOROOT/bin:$PATH"
cd path/src/k8s.io/kubernetes

# What the server says of its own types is generated, and not packed.
go build -o "$work/bin/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
types=$(grep --include=*.go -rl '+k8s:openapi-gen=' pkg staging/src cmd |
  grep -v 'zz_generated\|_test.go\|/testdata/\|examples\|sample-' | xargs -n 1 dirname | sort -u |
  sed 's|^staging/src/|k8s.io/kubernetes/vendor/|; s|^pkg/|k8s.io/kubernetes/pkg/|; s|^cmd/|k8s.io/kubernetes/cmd/|' |
  paste -sd , -)
"$work/bin/openapi-gen" --logtostderr -i "$types" -p k8s.io/kubernetes/pkg/generated/openapi \
  -O zz_generated.openapi -h hack/boilerplate/boilerplate.generatego.txt -r "$work/violations" --output-base "$GOPATH/src"

version=k8s.io/component-base/version
flags="-s -w"
for at in "$version" "k8s.io/kubernetes/vendor/$version" k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version; do
  flags="$flags -X $at.gitMajor=1 -X $at.gitMinor=20 -X $at.gitVersion=v1.20.2"
done
for program in kube-apiserver kube-controller-manager; do
  nice -n 10 go build -p 2 -ldflags "$flags" -o "$work/bin/$program" "k8s.io/kubernetes/cmd/$program"
done
mv "$work/root/usr/bin/etcd" "$work/bin/kube-apiserver" "$work/bin/kube-controller-manager" "$to"
rm -rf "$work"
