-- Health of an IamToken for Argo CD. Its status follows kstatus. docs/gitops.md says why each answer is what it is.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
local seen = ready ~= nil and status.observedGeneration == obj.metadata.generation

if obj.spec.suspend == true then
  return {status = "Suspended", message = seen and ready.message or "spec.suspend is true."}
end
if ready == nil then
  return {status = "Progressing", message = "No operator has looked at it yet."}
end
if not seen then
  return {status = "Progressing", message = "The operator has not seen the last change yet."}
end
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  return {status = "Degraded", message = ready.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
-- There was a token, and the one after it has not come in time: readers hold an expired one.
if status.expiresAt ~= nil and ready.reason ~= "Refreshing" then
  return {status = "Degraded", message = ready.message}
end
return {status = "Progressing", message = ready.message}
