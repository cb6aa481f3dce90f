package balance

import (
	"fmt"
	"math"
)

// Place is where a member or a node stands. The zero value is nowhere known.
type Place struct {
	// Zone is the failure domain, as eu-west-1a. Same zone, but of a different region,
	// is another zone.
	Zone string `yaml:"zone"`
	// Region is a group of zones, as eu-west-1.
	Region string `yaml:"region"`
	// Location is where that is; nil: not known.
	Location *Location `yaml:"location"`
}

// Location is a point of the earth, in degrees; north and east are positive.
type Location struct {
	Lat float64 `yaml:"lat"` // -90 to 90
	Lon float64 `yaml:"lon"` // -180 to 180
}

// PlaceOf is a place with its location as configurations write it: latitude and
// longitude in degrees, or nothing.
func PlaceOf(zone, region string, at []float64) (Place, error) {
	p := Place{Zone: zone, Region: region}
	switch {
	case len(at) == 0:
		return p, nil
	case len(at) != 2:
		return p, fmt.Errorf("location: needs two numbers, latitude and longitude, has %d", len(at))
	}
	p.Location = &Location{Lat: at[0], Lon: at[1]}
	return p, p.Validate()
}

// Validate says what is wrong with p, or returns nil.
func (p Place) Validate() error {
	switch l := p.Location; {
	case l == nil:
	case !(math.Abs(l.Lat) <= 90): // so worded, it refuses NaN too
		return fmt.Errorf("location: latitude %v is not from -90 to 90", l.Lat)
	case !(math.Abs(l.Lon) <= 180):
		return fmt.Errorf("location: longitude %v is not from -180 to 180", l.Lon)
	}
	return nil
}

const (
	earthRadius = 6371.0 // km, the mean
	// band is how many km apart in distance members are equally near: what light in
	// glass covers, there and back, in a millisecond.
	band = 100.0
)

// The classes of nearness. Between region and unknown are the bands of distance.
const (
	sameZone int32 = iota
	sameRegion
	firstBand
	nearnessUnknown int32 = 1 << 10
)

// nearness returns the class of a place as seen from another.
func (p Place) nearness(from Place) int32 {
	sure := p.Region != "" && p.Region == from.Region
	switch {
	case p.Zone != "" && p.Zone == from.Zone && (sure || p.Region == "" || from.Region == ""):
		return sameZone
	case sure:
		return sameRegion
	case p.Location != nil && from.Location != nil:
		if km := p.Location.km(*from.Location); km >= 0 { // no NaN
			return firstBand + int32(km/band)
		}
	}
	return nearnessUnknown
}

// km is the great-circle distance, by the haversine formula.
func (l Location) km(to Location) float64 {
	const rad = math.Pi / 180
	hav := func(degrees float64) float64 { s := math.Sin(degrees * rad / 2); return s * s }
	h := hav(to.Lat-l.Lat) + math.Cos(l.Lat*rad)*math.Cos(to.Lat*rad)*hav(to.Lon-l.Lon)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}
