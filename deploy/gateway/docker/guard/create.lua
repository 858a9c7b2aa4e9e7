-- A container may be created as the copy of a code location's service, and as nothing else. So no
-- list of dangers is needed, which would never be complete: what the service does not have, be it
-- a privilege, a mount, a device or an option of next year, no run can have.

local json = require("guard.json")
local stack = require("guard.stack")

local create = {}

-- Of a service, not of a run: these may only be left out.
local NOT_A_RUNS = {
    AutoRemove = true, ConsoleSize = true, ContainerIDFile = true, Links = true,
    PortBindings = true, PublishAllPorts = true, RestartPolicy = true,
}
-- A run's own limits: whole numbers within these bounds.
local LIMITS = {
    Memory = { 1, math.maxinteger }, MemoryReservation = { 0, math.maxinteger },
    MemorySwap = { 0, math.maxinteger }, NanoCpus = { 0, math.maxinteger },
    CpuShares = { 0, 1024 }, OomScoreAdj = { 0, 1000 },
}
create.LIMITS = LIMITS
-- What says which run it is; the rest of the configuration is the service's.
local RUNS_OWN = { Cmd = true, Env = true, Image = true, Labels = true, HostConfig = true, Healthcheck = true }

-- The reason why a limit is refused, or nil.
function create.bad_limit(name, number)
    local bounds = LIMITS[name]
    if not bounds then return name .. " is no limit of a run" end
    if math.type(number) ~= "integer" or number < bounds[1] or number > bounds[2] then
        return name .. " is out of bounds"
    end
end

local function bad_host_config(host, service)
    for name in pairs(host) do
        if service.HostConfig[name] == nil and not LIMITS[name] then
            return "HostConfig." .. name .. " is not one of the service's"
        end
    end
    for name, own in pairs(service.HostConfig) do
        local asked = host[name]
        if NOT_A_RUNS[name] then
            if not json.empty(asked) then return "HostConfig." .. name .. " is for services" end
        elseif LIMITS[name] then
            local unlimited = json.empty(asked) and (json.empty(own) or name:match("^Memory[SR]"))
            local reason = not unlimited and create.bad_limit(name, asked)
            if reason then return "HostConfig." .. reason end
        elseif name == "NetworkMode" then
            if type(asked) ~= "string" or stack.is_rpc(asked) then return "HostConfig.NetworkMode is an RPC network" end
            if asked ~= own and asked ~= "none" and not (service.NetworkSettings.Networks or {})[asked] then
                return "HostConfig.NetworkMode is not one of the service's networks"
            end
        elseif not json.same(asked, own) then
            return "HostConfig." .. name .. " differs from the service's"
        end
    end
end

local function bad_config(body, service)
    for name, asked in pairs(body) do
        -- Go reads keys in any case; only the engine's own spelling is one of the service's.
        local own = service.Config[name]
        if not RUNS_OWN[name] and (own == nil or not json.same(asked, own)) then
            return name .. " differs from the service's"
        end
    end
    if not json.same(body.Healthcheck, { Test = { "NONE" } }) then return "Healthcheck is not off" end
    return bad_host_config(body.HostConfig, service)
end

local function bad_labels(labels)
    if type(labels) ~= "table" then return "there are no labels" end
    if labels[stack.PROJECT] ~= stack.project then return "it has not this stack's label" end
    if labels[stack.ROLE] ~= "run" then return "its label does not say that it is a run's" end
    for name, text in pairs(labels) do
        if name:sub(1, #stack.COMPOSE) == stack.COMPOSE and text ~= "" then
            return "label " .. name .. " is Compose's"
        end
    end
end

-- Whether an image is a release of a service's location.
local function is_release(image, services)
    for _, service in ipairs(services) do
        if image == service.release or image == service.Config.Image then return true end
    end
    for _, name in ipairs(stack.image_names(image)) do
        for _, service in ipairs(services) do
            if stack.repository(name) == service.image_repository then return true end
        end
    end
    return false
end

local function bad_name(name, location)
    local run = "^" .. stack.project:gsub("%p", "%%%0") .. "%-run%-%x+%-%x+%-%x+%-%x+%-%x+"
    local standby = stack.project .. "-standby-" .. location .. "-"
    if name:match(run .. "$") or name:match(run .. "%-after%-%x+$") then return nil end
    if name:sub(1, #standby) == standby and name:match("^%x+$", #standby + 1) then return nil end
    return "its name is no run's"
end

-- Whether a body is a copy of one of these services; if not, why, and a status.
local function judge(body, location, services)
    if #services == 0 then
        -- Between two containers of a service there is none: the launcher tries again.
        return false, "there is no code location '" .. location .. "' to copy", 503
    end
    if not is_release(body.Image, services) then
        return false, "image " .. body.Image .. " is no release of '" .. location .. "'", 403
    end
    local reason
    for _, service in ipairs(services) do
        local differs = bad_config(body, service)
        if not differs then return true end
        reason = reason or differs
    end
    return false, "it is no copy of '" .. location .. "': " .. reason, 403
end

-- The reason why a container of this name may not be created from this body, and a status; nil
-- when it may.
function create.refusal(name, body)
    if type(body.HostConfig) ~= "table" or type(body.Image) ~= "string" then
        return "Image and HostConfig are missing", 403
    end
    local reason = bad_labels(body.Labels)
    if reason then return reason, 403 end
    local location = body.Labels[stack.LOCATION]
    if type(location) ~= "string" then return "its label names no location", 403 end
    reason = bad_name(name, location)
    if reason then return reason, 403 end
    if not body.Image:match("^[%w][%w./:@_-]*$") then return "the image's name is none", 403 end
    local _, why, status = stack.of_location(location, function(services) return judge(body, location, services) end)
    return why, status
end

return create
