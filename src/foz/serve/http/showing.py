"""How a job stands, told on the data plane: it is what callers ask again and again."""

from foz.canon.fault import NotFound
from foz.canon.principal import Principal
from foz.gateway.services import Services
from foz.jobs.intake import Jobs
from foz.ports.skin import Showing, Visit
from foz.serve.http.staying import while_here
from foz.wire.http import Reply


async def shown(showing: Showing, jobs: Jobs | None, services: Services, principal: Principal, visit: Visit) -> Reply:
    """One's own job, of the face that was asked; no later than we are being stopped. Raises BadRequest, NotFound."""
    look = showing.look(visit.call)
    if jobs is None:
        raise NotFound("No jobs are kept here.", field="job_id")
    id, skin = visit.rest[0], visit.route.skin
    job = jobs.fresh(principal, id, skin) if look.seconds and look.end else None
    if job is None:
        found = await jobs.told(principal, id, skin)
        if not look.seconds or found[0].over:
            return showing.say(*found)
        job = found[0]
    waited = await while_here(services, jobs.waited(job, look.seconds, end=look.end))
    return showing.say(*(waited or await jobs.told(principal, id, skin)))
