#!/bin/sh
# Makes src/foz/serve/http/assets/ again: Swagger UI and Redoc as their authors publish them on npm, at the versions
# below, with two changes, so that a page in a closed network asks nobody else for anything:
# the comments that name source maps go, and Redoc's footer picture is an empty one instead of one from a CDN.
# `scripts/assets.sh --accept` writes the checksums anew after a version was changed here; without it they must agree.
# Our own two start scripts (swagger.js, redoc.js) stand in the same folder and are written by hand.
set -eu

SWAGGER=5.35.0
REDOC=2.5.4

cd "$(dirname "$0")/../src/foz/serve/http/assets"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for package in "swagger-ui-dist@$SWAGGER" "redoc@$REDOC"; do
    name=${package%@*}
    (cd "$work" && npm pack --silent "$package" >/dev/null && mkdir "$name" && tar -xzf "$name"-*.tgz -C "$name")
done
swagger=$work/swagger-ui-dist/package
redoc=$work/redoc/package

picture='https://cdn.redoc.ly/redoc/logo-mini.svg'
if [ "$(grep -c "$picture" "$redoc/bundles/redoc.standalone.js")" != 1 ]; then
    echo "scripts/assets.sh: Redoc $REDOC no longer asks for $picture once; look what it asks for instead" >&2
    exit 1
fi

sed '/^\/\/# sourceMappingURL=/d' "$swagger/swagger-ui-bundle.js" >swagger-ui-bundle.js
sed '/^\/\*# sourceMappingURL=/d' "$swagger/swagger-ui.css" >swagger-ui.css
sed -e '/^\/\/# sourceMappingURL=/d' -e "s#$picture#data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>#" \
    "$redoc/bundles/redoc.standalone.js" >redoc.standalone.js
cp "$swagger/swagger-ui-bundle.js.LICENSE.txt" "$redoc/bundles/redoc.standalone.js.LICENSE.txt" .
cp "$swagger/LICENSE" swagger-ui.LICENSE
cp "$swagger/NOTICE" swagger-ui.NOTICE
cp "$redoc/LICENSE" redoc.LICENSE

if [ "${1:-}" = --accept ]; then
    sha256sum swagger-ui* redoc.LICENSE redoc.standalone.* >SHA256SUMS
else
    sha256sum --check --quiet SHA256SUMS
fi
