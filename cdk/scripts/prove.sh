#!/bin/sh
# Proves what can be proved of the stacks without an AWS account. Needs node, npm, java, apt-get and python3; keeps caches below target/cdk.
# With functions packaged (`cargo xtask package`) the templates checked are those that would be deployed; else placeholders stand for programs.
set -eu
cd "$(dirname "$0")/.."
cache=$(cd .. && pwd)/target/cdk
mkdir -p "$cache"

say() { printf '\n== %s\n' "$1"; }

say "npm packages, as locked"
if ! cmp -s package-lock.json "$cache/package-lock.json" || [ ! -d node_modules ]; then
  npm ci --no-fund --no-audit --loglevel=error
  cp package-lock.json "$cache/package-lock.json"
fi

say "cfn-lint and checkov, as pinned"
if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  python3 -m venv --clear "$cache/venv"
  "$cache/venv/bin/pip" --disable-pip-version-check -q install -r requirements.txt
  cp requirements.txt "$cache/requirements.txt"
fi

say "types, format and lint"
npm run --silent check

say "tests: templates, definitions, mapping templates in Velocity, settings (cdk-nag has every rule of AwsSolutions)"
npm test --silent

say "synthesis by the command"
artefacts=packages
for package in $(node -p 'require("../state-machines/topology.json").functions.map((it) => it.package).join(" ")'); do
  [ -f "../target/lambda/$package/bootstrap.zip" ] || artefacts=placeholder
done
echo "functions: $artefacts"
rm -rf "$cache/out"
npx --no-install cdk synth --quiet --output "$cache/out" -c "artefacts=$artefacts"
# And with everything that is optional.
npx --no-install cdk synth --quiet --output "$cache/out-optional" -c artefacts=placeholder -c waf=true -c alarmEmail=ops@example.com \
  -c 'corsOrigins=["https://ops.example.com"]' -c 'vendors=[{"id":"vendorA","perSecond":50,"burst":100,"keys":["1"]}]' \
  -c domainName=ingest.example.com -c mutualTlsTruststore=s3://trust.example/vendors.pem \
  -c certificateArn=arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-4000-8000-000000000000

for out in "$cache/out" "$cache/out-optional"; do
  say "cfn-lint and checkov: $(basename "$out")"
  "$cache/venv/bin/cfn-lint" --config-file .cfnlintrc.yaml "$out/sluice-stateful.template.json" "$out/sluice.template.json"
  echo "cfn-lint: nothing to say"
  "$cache/venv/bin/checkov" --config-file .checkov.yaml -f "$out/sluice-stateful.template.json" "$out/sluice.template.json"
done

say "proved"
