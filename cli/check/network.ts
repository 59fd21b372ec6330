import { checkRequirements, type Finding } from "../../network/check/check.ts";
import { requirementsOf } from "../../network/check/requirements.ts";
import { loadConfiguration } from "../../shim/config/load.ts";
import { deadlineIn } from "../../sys/deadline.ts";

const CHECK_MS = 20_000;

/** `tapir check network`: exit code 1 when something is missing that pods cannot do without. */
export async function checkNetwork(options: { readonly json?: boolean }): Promise<void> {
  const { network, hypervisor } = loadConfiguration().configuration;
  const model = network.internetworkingModel;
  const { defaultVcpus: vcpus, disableVhostNet } = hypervisor.qemu;
  const limits = { rx: network.rxRateLimiterMaxRate, tx: network.txRateLimiterMaxRate };
  const requirements = requirementsOf({ model, vcpus, vhostNet: !disableVhostNet, limits });
  const findings = await checkRequirements(requirements, deadlineIn(CHECK_MS, "check the network"));
  process.stdout.write(options.json === true ? jsonOf(model, findings) : textOf(model, findings));
  if (findings.some(isMissing)) process.exitCode = 1;
}

const isMissing = ({ requirement, failure }: Finding): boolean =>
  failure !== undefined && requirement.optional !== true;

function jsonOf(model: string, findings: readonly Finding[]): string {
  const found = findings.map(({ requirement: { name, purpose, wayOut, optional = false }, failure }) => ({
    name,
    purpose,
    optional,
    there: failure === undefined,
    ...(failure === undefined ? {} : { failure, wayOut }),
  }));
  return `${JSON.stringify({ model, requirements: found }, undefined, 2)}\n`;
}

function textOf(model: string, findings: readonly Finding[]): string {
  const lines = findings.flatMap((finding) => {
    const { name, purpose, wayOut } = finding.requirement;
    if (finding.failure === undefined) return [`  ok       ${name}`];
    const mark = isMissing(finding) ? "MISSING " : "without ";
    return [`  ${mark} ${name}: ${purpose}`, `           ${finding.failure}`, `           ${wayOut}`];
  });
  const missing = findings.filter(isMissing).length;
  const verdict =
    missing === 0
      ? `this kernel does what internetworking_model "${model}" needs`
      : `${missing} missing for internetworking_model "${model}"`;
  return [...lines, verdict].map((line) => `${line}\n`).join("");
}
